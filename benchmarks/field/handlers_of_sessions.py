"""Short sessions of boto3 register handlers on a long-lived session of botocore.

Source: boto/boto3#2176
Environment: current
Packages: boto3, botocore
Kind: leaky
Rates: objects 10
Truth: TODO
"""

import boto3
import botocore.session

base = botocore.session.Session()


def step(i):
    return boto3.Session(region_name="eu-west-1", botocore_session=base).region_name
