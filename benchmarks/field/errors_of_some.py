"""A leak that is only there on some calls: one error of ten keeps its request.

Source: dapper91/pydantic-xml#222 (its kind), after BerriAI/litellm#5559
Environment: plain
Kind: leaky
Rates: objects 0.7, blocks 1.11
Truth: counted from step 6,565 to 12,000; also per step: anonymous 112 B
"""

last_errors = []


class Request:
    def __init__(self, number):
        self.number = number
        self.body = [number] * 20


def handled(request):
    if request.number % 10 == 3:
        raise ValueError(request.number)
    return request.number


def step(i):
    try:
        return handled(Request(i))
    except ValueError as error:
        last_errors.append(error)
