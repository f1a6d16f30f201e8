"""The agents of this example: each reads what it is asked as JSON and writes what it found as JSON.

    echo '{"input": {"document": "invoice-17.txt"}}' | python3 agents/finance.py ocr

Money is decimal from end to end. Nothing here needs more than Python's own library.
"""

import csv
import json
import re
import sys
from collections import defaultdict
from datetime import date
from decimal import Decimal
from pathlib import Path

FOLDER = Path(__file__).parent.parent
CENT = Decimal("0.01")
WEEKS_OF_A_MONTH = Decimal(52) / 12


class Refused(Exception):
    """What is asked cannot be done, and trying again would not help."""


def rows(name):
    with open(FOLDER / "data" / name, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def cents(amount):
    return Decimal(amount).quantize(CENT)


def average(numbers):
    return sum(numbers, Decimal(0)) / len(numbers)


# -- advice


def data_sync(asked):
    """The ledger, month by month."""
    ledger = rows("ledger.csv")
    months = defaultdict(lambda: {"revenue": Decimal(0), "costs": Decimal(0)})
    parties = defaultdict(Decimal)
    for row in ledger:
        amount = Decimal(row["amount"])
        if row["category"] == "opening":
            continue
        kind = "revenue" if amount > 0 else "costs"
        months[row["date"][:7]][kind] += abs(amount)
        if kind == "revenue":
            parties[row["party"]] += amount
    return {
        "as_of": ledger[-1]["date"],
        "entries": len(ledger),
        "cash": sum(Decimal(row["amount"]) for row in ledger),
        "months": [{"month": month, **sums} for month, sums in sorted(months.items())],
        "customers": [{"name": name, "revenue": revenue} for name, revenue in sorted(parties.items(), key=lambda item: -item[1])],
    }


def given(asked, field):
    """What a workflow hands on; whoever asks in words hands nothing on, and it is put together here."""
    about = asked["input"]
    if isinstance(about, dict) and field in about:
        return about[field]
    books = data_sync(asked)
    made = {
        "books": lambda: books,
        "months": lambda: books["months"],
        "forecast": lambda: forecasting({"input": books}),
        "health": lambda: analysis({"input": books}),
        "risks": lambda: risk({"input": {"books": books, "forecast": forecasting({"input": books})}}),
        "as_of": lambda: books["as_of"],
        "cash": lambda: books["cash"],
    }
    return made[field]()


def analysis(asked):
    """How healthy the business is: its margin, and how long its cash lasts."""
    quarter = given(asked, "months")[-3:]
    revenue = average([month["revenue"] for month in quarter])
    costs = average([month["costs"] for month in quarter])
    result = revenue - costs
    runway = None if result >= 0 else int(given(asked, "cash") / -result)
    health = "strong" if result > revenue / 10 else "stable" if result >= 0 else "weak"
    return {"health": health, "margin": (result / revenue).quantize(CENT), "monthly_result": cents(result), "runway_months": runway}


def trend(numbers):
    """The line that lies closest to these numbers: its value after the last of them, and its rise from one to the next."""
    count = len(numbers)
    middle = Decimal(count - 1) / 2
    spread = sum((position - middle) ** 2 for position in range(count))
    rise = sum((position - middle) * number for position, number in enumerate(numbers)) / spread
    return average(numbers) + rise * (count - middle), rise


def following(month, ahead):
    year, number = int(month[:4]), int(month[5:]) + ahead
    return f"{year + (number - 1) // 12}-{(number - 1) % 12 + 1:02d}"


def forecasting(asked):
    """Thirteen weeks of cash and twelve months of profit and loss, along the trend of the months that were."""
    months = given(asked, "months")
    revenue, more_revenue = trend([month["revenue"] for month in months])
    costs, more_costs = trend([month["costs"] for month in months])
    profit_and_loss = []
    for ahead in range(12):
        earned, spent = cents(revenue + more_revenue * ahead), cents(costs + more_costs * ahead)
        month = following(months[-1]["month"], ahead + 1)
        profit_and_loss.append({"month": month, "revenue": earned, "costs": spent, "result": earned - spent})
    cash, cash_flow = given(asked, "cash"), []
    for week in range(13):
        month = profit_and_loss[int(week / WEEKS_OF_A_MONTH)]
        cash += month["result"] / WEEKS_OF_A_MONTH
        cash_flow.append(cents(cash))
    return {"cash_flow": cash_flow, "lowest_cash": min(cash_flow), "profit_and_loss": profit_and_loss}


def risk(asked):
    """What may go wrong, and what may go better, by plain rules."""
    books, forecast = given(asked, "books"), given(asked, "forecast")
    revenue = sum(customer["revenue"] for customer in books["customers"])
    largest = books["customers"][0]
    share = largest["revenue"] / revenue
    costs = books["months"][-1]["costs"]
    year = sum(month["result"] for month in forecast["profit_and_loss"])
    risks, opportunities = [], []
    if share > Decimal("0.4"):
        risks.append(f"{largest['name']} brings {share:.0%} of the revenue")
    if forecast["lowest_cash"] < 2 * costs:
        risks.append(f"cash falls to {forecast['lowest_cash']}, less than two months of costs")
    if year < 0:
        risks.append(f"the coming year ends {-year} short")
    else:
        opportunities.append(f"the coming year ends {year} ahead")
    if forecast["lowest_cash"] > 3 * costs:
        opportunities.append("more than three months of costs lie idle at the bank")
    return {"risks": risks, "opportunities": opportunities}


def reporting(asked):
    """A page for the board."""
    health, forecast, found = given(asked, "health"), given(asked, "forecast"), given(asked, "risks")
    lines = [
        f"# Board report, as of {given(asked, 'as_of')}",
        "",
        f"The business is {health['health']}: {health['monthly_result']} a month, a margin of {health['margin']:.0%}.",
        f"In thirteen weeks there will be {forecast['cash_flow'][-1]} at the bank, and never less than {forecast['lowest_cash']}.",
        "",
        *[f"- risk: {risk}" for risk in found["risks"]],
        *[f"- opportunity: {opportunity}" for opportunity in found["opportunities"]],
    ]
    return {"report": "\n".join(lines)}


# -- transactions


def ocr(asked):
    """What stands in a document. A text stands in for its scan; what is not found lowers the confidence."""
    name = asked["input"]["document"]
    path = (FOLDER / "documents" / name).resolve()
    if path.parent != FOLDER.resolve() / "documents" or not path.is_file():
        raise Refused(f"there is no document {name}")
    text = path.read_text(encoding="utf-8")
    wanted = {"number": r"Invoice (\S+)", "date": r"(\d{4}-\d\d-\d\d)$", "vat": r"VAT ([A-Z]{2}\d+)", "total": r"Total EUR +([\d,]+\.\d\d)"}
    found = {field: re.search(pattern, text, re.MULTILINE) for field, pattern in wanted.items()}
    fields = {field: match.group(1) for field, match in found.items() if match}
    amount = Decimal(fields.pop("total", "0").replace(",", ""))
    confidence = Decimal(len(fields) + (amount > 0)) / len(wanted)
    return {"output": {"vendor": text.splitlines()[0].strip(), "amount": amount, "confidence": confidence, **fields}, "confidence": confidence}


def accounting(asked):
    """An entry for the books, or with `params.reverse` the one that takes it back. The same key gives the same entry."""
    invoice = asked["input"]
    accounts = ("expenses", "payables")
    reverse = bool((asked.get("params") or {}).get("reverse"))
    debit, credit = reversed(accounts) if reverse else accounts
    entry = f"{'R' if reverse else 'E'}-{invoice['number']}"
    return {"entry": entry, "debit": debit, "credit": credit, "amount": invoice["amount"], "text": f"{invoice['vendor']} {invoice['number']}"}


def reconciliation(asked):
    """The payment of an invoice among the lines of the bank."""
    invoice = asked["input"]
    for number, row in enumerate(rows("bank.csv"), start=2):
        names_it = invoice["number"] in row["reference"] or invoice["vendor"].lower() in row["reference"].lower()
        late = abs((date.fromisoformat(row["date"]) - date.fromisoformat(invoice["date"])).days)
        if names_it and Decimal(row["amount"]) == -invoice["amount"] and late <= 14:
            return {"matched": True, "line": number, "days": late}
    raise Refused(f"the bank knows no payment of {invoice['amount']} to {invoice['vendor']}")


def compliance(asked):
    """The rules that an invoice has to keep. One that keeps them all leaves a record of it."""
    invoice, agreed = asked["input"]["invoice"], asked["input"]["agreed"]
    checks = {
        "it has a VAT number": bool(invoice["vat"]),
        "it is no older than the books": invoice["date"] >= rows("ledger.csv")[0]["date"],
        "two people agreed to more than 5,000": invoice["amount"] <= 5000 or agreed,
    }
    broken = [rule for rule, kept in checks.items() if not kept]
    if broken:
        raise Refused(f"invoice {invoice['number']} breaks a rule: {'; '.join(broken)}")
    return {"compliant": True, "checks": list(checks)}


AGENTS = [data_sync, analysis, forecasting, risk, reporting, ocr, accounting, reconciliation, compliance]


def written(value):
    """A value as JSON, decimals with all of their digits."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)}: {written(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    return json.dumps(value)


def main():
    agent = {function.__name__: function for function in AGENTS}[sys.argv[1]]
    asked = json.load(sys.stdin, parse_float=Decimal, parse_int=Decimal)
    try:
        answer = agent(asked)
    except Refused as why:
        answer = {"error": {"class": "refused", "message": str(why)}}
    print(written(answer))


if __name__ == "__main__":
    main()
