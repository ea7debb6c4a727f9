"""Short sessions of boto3 register handlers on a long-lived session of botocore.

Source: boto/boto3#2176
Environment: current
Packages: boto3, botocore
Kind: leaky
Rates: objects 25, blocks 38
Truth: counted from step 6,565 to 12,000; also per step: malloc 71 B, anonymous 3,522 B
"""

import boto3
import botocore.session

base = botocore.session.Session()


def step(i):
    return boto3.Session(region_name="eu-west-1", botocore_session=base).region_name
