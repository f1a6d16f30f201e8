import sys
from mcp.server.mcpserver import MCPServer

server = MCPServer("ledger")


@server.tool(description="Adds two amounts.")
def add(a: str, b: str) -> dict:
    from decimal import Decimal
    return {"sum": str(Decimal(a) + Decimal(b)), "count": 2}


@server.tool(description="Divides.")
def divide(a: float, b: float) -> float:
    return a / b


if sys.argv[1] == "stdio":
    server.run(transport="stdio")
else:
    server.run(transport="streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
