"""A client asks a server of its own process through one session.

Source: aio-libs/aiohttp#4618, aio-libs/aiohttp#1767
Environment: current
Packages: aiohttp
Kind: clean
Truth: no count grows from step 5,252 to 9,752
"""

from aiohttp import ClientSession, web


async def answer(request):
    return web.Response(text="ok")


async def setup():
    application = web.Application()
    application.router.add_get("/{number}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    return ClientSession(f"http://127.0.0.1:{port}"), runner


async def step(i, world):
    async with world[0].get(f"/{i}") as response:
        return await response.text()


async def teardown(world):
    await world[0].close()
    await world[1].cleanup()
