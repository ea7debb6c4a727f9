"""A stored error is raised again: frames and error form a cycle that the collector frees.

Source: dapper91/pydantic-xml#222
Environment: current
Packages: pydantic
Kind: clean
Truth: no count grows from step 6,565 to 12,000
"""

from pydantic import BaseModel, ValidationError, field_validator


class Company(BaseModel):
    country: str

    @field_validator("country")
    @classmethod
    def is_short(cls, value):
        if len(value) > 2:
            raise ValueError("two letters")
        return value


def checked(document):
    problem = None
    try:
        return Company.model_validate(document)
    except ValidationError as error:
        problem = error
    raise problem


def step(i):
    try:
        checked({"country": f"country {i}"})
    except ValidationError as error:
        return error.error_count()
