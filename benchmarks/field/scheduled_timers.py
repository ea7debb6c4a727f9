"""A timeout far in the future is scheduled per request, and not cancelled when it is answered.

Source: ArchiveTeam/wpull#166
Environment: plain
Kind: leaky
Rates: objects 4, blocks 7
Truth: counted from step 6,565 to 12,000; also per step: anonymous 461 B
"""

import asyncio


class Request:
    def __init__(self, number):
        self.number = number

    def timed_out(self):
        raise TimeoutError(self.number)


async def step(i):
    request = Request(i)
    asyncio.get_running_loop().call_later(3600, request.timed_out)
    await asyncio.sleep(0)
