"""Makes the books of this example: two days, about a thousand entries a side on the first, always the same ones.

    python3 generate.py            writes data/ beside this file
    python3 generate.py --into DIR
    python3 generate.py --times 100   a hundred times as many entries that are the same on both sides

Most entries of the statements (side A) have their counterpart in the ledger (side B). What is otherwise is made otherwise on
purpose, one kind after another: see `first_day`. Amounts are whole cents.
"""

import argparse
import csv
import random
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from xml.sax.saxutils import escape

SEED = 20260312
DAYS = [date(2026, 3, 12), date(2026, 3, 13)]
HOLIDAYS = {date(2026, 1, 1)}

CASH, PNL = "DE02120300000000202051", "DE02500105170137075030"
NOSTRO, CUSTODY = "8800112233", "8800445566"
BROKER, OMS, OPTIONS, FX, LIFE, REPORTS = "BRK-EQ-1", "OMS-EQ-1", "OMS-DRV-1", "FO-FX-1", "LC-BOND-1", "REG-1"
CURRENCY = {CASH: "EUR", PNL: "EUR", NOSTRO: "USD", CUSTODY: "GBP", BROKER: "EUR", OMS: "EUR", OPTIONS: "USD", FX: "USD", LIFE: "EUR", REPORTS: "EUR"}
SECURITIES = {CUSTODY, BROKER, OMS, OPTIONS}

# How many entries an account has on the first day that are the same on both sides.
SAME = {CASH: 190, PNL: 90, NOSTRO: 130, CUSTODY: 80, BROKER: 120, OMS: 110, OPTIONS: 60, FX: 70, LIFE: 35, REPORTS: 25}
OPENING = {CASH: 184_220_015, PNL: 4_410_250, NOSTRO: 96_310_077, CUSTODY: 51_900_000, BROKER: 77_105_540, OMS: 64_000_905, OPTIONS: 12_750_000, FX: 230_000_000, LIFE: 18_400_000, REPORTS: 1_000_000}

PARTIES = ["Alder Trading", "Birch & Sons", "Cedar Capital", "Dogwood Metals", "Elm Shipping", "Fir Foods", "Gorse Energy", "Hazel Paper", "Iris Optics", "Juniper Labs"]


@dataclass(frozen=True)
class Entry:
    account: str
    amount: int
    value: date
    booked: date
    reference: str = ""
    party: str = ""
    text: str = ""
    currency: str = ""
    code: str = "TRF"
    batch: str = ""
    bank: str = ""
    quantity: int = 0
    price: int = 0
    status: str = ""
    reversal: bool = False


def business(day, days):
    """So many business days after a day, or before it."""
    step = timedelta(days=1 if days >= 0 else -1)
    while days:
        day += step
        if day.weekday() < 5 and day not in HOLIDAYS:
            days -= 1 if days > 0 else -1
    return day


class Books:
    """Both sides of a day."""

    def __init__(self, day, seed):
        self.day, self.chance = day, random.Random(seed)
        self.a, self.b, self.count = [], [], 0

    def reference(self, kind="INV"):
        self.count += 1
        return f"{kind}-{self.day:%m%d}-{self.count:05d}"

    def entry(self, account, amount=None, days=0, kind="INV", **more):
        if amount is None:
            amount = self.chance.choice([-1, 1]) * int(10 ** self.chance.uniform(3, 6.3))
        value = business(self.day, days)
        if account in SECURITIES and "quantity" not in more:
            quantity = self.chance.randint(1, 400) * 5
            more |= {"quantity": quantity, "price": abs(amount) // quantity}
        more.setdefault("party", self.chance.choice(PARTIES))
        reference = more.pop("reference", None) or self.reference(kind)
        return Entry(account, amount, value, max(value, business(self.day, -1)), reference, currency=more.pop("currency", CURRENCY[account]), **more)

    def both(self, a, b=None):
        self.a.append(a)
        self.b.append(a if b is None else b)

    def same(self, account, count):
        for _ in range(count):
            self.both(self.entry(account, days=-self.chance.choice([0, 0, 0, 1])))


def first_day():
    day = Books(DAYS[0], SEED)
    for account, count in SAME.items():
        day.same(account, count)
    # Matched: days apart, small differences, batches, sums, what is taken back.
    for account in [CASH] * 8 + [NOSTRO] * 6 + [BROKER] * 6 + [OMS] * 6 + [PNL] * 4 + [LIFE] * 3:
        one = day.entry(account, days=-day.chance.choice([1, 2]))
        day.both(one, replace(one, value=DAYS[0]))
    for account in [CASH, CASH, NOSTRO, PNL, BROKER, OMS, LIFE, REPORTS]:
        one = day.entry(account, amount=day.chance.choice([-1, 1]) * day.chance.randint(20_000, 90_000), quantity=0)
        day.both(one, replace(one, amount=one.amount + 1))
    for _ in range(4):
        one = day.entry(FX, amount=day.chance.choice([-1, 1]) * day.chance.randint(50_000_000, 90_000_000), code="FX")
        day.both(one, replace(one, amount=one.amount + day.chance.randint(1_000, 9_000)))
    for number, account in enumerate([CASH, CASH, CASH, NOSTRO]):
        parts = [day.entry(account, amount=-day.chance.randint(10_000, 400_000), batch=f"RUN-{number + 1}") for _ in range(3 + number)]
        whole = day.entry(account, amount=sum(part.amount for part in parts), reference=f"RUN-{number + 1}", party="", text="payment run")
        day.a.append(whole)
        day.b.extend(parts)
    for account, party in [(CASH, "Larch Retail"), (BROKER, "Maple Brokers")]:
        parts = [day.entry(account, amount=day.chance.randint(10_000, 700_000), party=party, quantity=0) for _ in range(3)]
        day.a.extend(parts)
        day.b.append(day.entry(account, amount=sum(part.amount for part in parts), party=party, kind="COL", text="collected", quantity=0))
    for account in [CASH, CASH, NOSTRO, PNL]:
        one = day.entry(account, text="booked twice by mistake")
        day.a.extend([one, replace(one, amount=-one.amount, value=DAYS[0], reversal=True, text="taken back")])

    # Not matched. On one side only: young ones may still come, fees were never expected, old ones are somebody's work.
    for account, cents, days, side in [
        (CASH, 125_000, 0, "a"), (CASH, -89_900, -1, "b"), (NOSTRO, 45_000, 0, "b"), (BROKER, 71_250, -1, "a"), (OMS, -33_300, 0, "b"), (LIFE, 99_000, -2, "a"),
        (PNL, 12_345, -1, "b"), (CASH, 3_150_000, 0, "a"), (NOSTRO, -2_750_000, -1, "b"), (BROKER, 18_200_000, -4, "a"), (OMS, -6_450_000, -12, "b"),
        (CASH, 240_000_000, -1, "a"), (CUSTODY, 900_000, -7, "a"), (CUSTODY, -1_250_000, -33, "b"), (NOSTRO, 66_600, -45, "a"), (CASH, -41_000, -65, "b"),
        (REPORTS, 5_000, -1, "a"), (REPORTS, -7_500, -3, "b"), (LIFE, 2_100_000, -6, "b"), (OPTIONS, 25_000_000, -1, "a"), (OPTIONS, -480_000, 0, "b"),
    ]:
        getattr(day, side).append(day.entry(account, amount=cents, days=days))
    for account, cents, text in [(CASH, -1_250, "account fee"), (CASH, -890, "transfer fee"), (NOSTRO, -2_500, "correspondent charge"), (BROKER, -4_995, "commission"), (PNL, -9_950, "interest"), (NOSTRO, -15_000, "charge")]:
        day.a.append(day.entry(account, amount=cents, text=text, code="CHG", party="", quantity=0))

    # On both sides, with something that differs.
    for account, cents, by in [(CASH, 10_000, 4), (PNL, 20_000, -3), (NOSTRO, 15_000, 5), (OMS, 30_000, 4), (CASH, 500_000, -1_200), (BROKER, 800_000, 2_500),
                               (NOSTRO, 760_000, 1_800), (CASH, 4_000_000, 90_000), (OMS, 12_000_000, 1_500_000), (BROKER, 90_000_000, 12_500_000), (PNL, 350_000, 5_100)]:
        one = day.entry(account, amount=cents, quantity=0)
        day.both(one, replace(one, amount=cents + by))
    for account, quantity, other in [(BROKER, 500, 450), (OMS, 1_000, 900), (CUSTODY, 250, 240), (OPTIONS, 40, 30)]:
        one = day.entry(account, amount=quantity * 4_200, quantity=quantity, price=4_200)
        day.both(one, replace(one, quantity=other, amount=other * 4_200))
    for account, price, other in [(BROKER, 10_150, 10_100), (OMS, 5_005, 5_000), (OPTIONS, 99_000, 98_000)]:
        one = day.entry(account, amount=200 * price, quantity=200, price=price)
        day.both(one, replace(one, price=other, amount=200 * other))
    for cents, by in [(1_200_000, 2_100), (70_000_000, 210_000), (8_000_000, -9_000)]:
        one = day.entry(FX, amount=cents, code="FX")
        day.both(one, replace(one, amount=cents + by))
    for account, cents, days in [(CASH, 60_000, -9), (OMS, -7_800_000, -8), (LIFE, 3_000_000, -5), (BROKER, 45_000, -6)]:
        one = day.entry(account, amount=cents, days=days)
        day.both(one, replace(one, value=DAYS[0]))
    for account, cents, currency in [(CASH, 77_000, "USD"), (BROKER, 5_500_000, "USD"), (FX, 31_000_000, "EUR")]:
        one = day.entry(account, amount=cents, quantity=0)
        day.a.append(one)
        day.b.append(replace(one, currency=currency))
    for account, cents in [(CASH, 88_000), (NOSTRO, -430_000), (OMS, 9_100_000)]:
        reference = f"CONTRACT-2026-{day.chance.randint(100_000, 899_999)}"
        one = day.entry(account, amount=cents, reference=reference)
        day.both(one, replace(one, reference=f"{reference[:-1]}{(int(reference[-1]) + 3) % 10}"))
    for account, cents in [(CASH, 52_000), (CASH, 1_900_000), (PNL, -33_000)]:
        one = day.entry(account, amount=cents)
        day.both(replace(one, status="PDNG"), one)
    for account, cents in [(BROKER, 640_000), (OMS, -15_500_000)]:
        one = day.entry(account, amount=cents)
        day.both(one, replace(one, status="FAIL"))
    for account, cents, other in [(LIFE, 42_000, 40_000), (LIFE, 7_700_000, 7_500_000)]:
        one = day.entry(account, amount=cents, code="DVCA", text="dividend")
        day.both(one, replace(one, amount=other))

    # There too often, and not to be told apart.
    for account, cents in [(CASH, 64_000), (NOSTRO, -230_000), (BROKER, 3_300_000)]:
        one = day.entry(account, amount=cents)
        day.both(one)
        day.a.append(one)
    for account, cents in [(CASH, 150_000), (OMS, 2_200_000)]:
        one = day.entry(account, amount=cents, party="", quantity=0)
        day.a.extend([replace(one, text="first"), replace(one, text="second")])
        day.b.append(one)
    one = day.entry(BROKER, amount=900_000, party="", quantity=0)
    day.a.append(one)
    day.b.extend([day.entry(BROKER, amount=cents, party="", quantity=0) for cents in (350_000, 550_000)])
    party = "Nutmeg Clearing"
    day.a.extend([day.entry(BROKER, amount=cents, party=party, days=-1, quantity=0) for cents in (500_000, -200_000)])
    day.b.extend([day.entry(BROKER, amount=cents, party=party, days=-1, quantity=0) for cents in (440_000, -140_000)])
    # The same but for a letter.
    for account, cents, reference, typed in [(CASH, 1_187_000, "AGREEMENT-LARCH-71042", "AGREMENT-LARCH-71042"), (NOSTRO, -3_420_500, "SETTLEMENT-TERMS-80316", "SETTLEMENT-TERM-80316"),
                                             (OMS, 2_260_000, "ALLOCATION-FUND-55071", "ALOCATION-FUND-55071")]:
        one = day.entry(account, amount=cents, reference=reference, text="agreement", quantity=0)
        day.both(one, replace(one, reference=typed))
    return day


def second_day(first):
    """Some of what was open has come, some differences were booked, and there is new business."""
    day = Books(DAYS[1], SEED + 1)
    for account, count in SAME.items():
        day.same(account, count // 4)
    a, b = {entry.reference for entry in first.a}, {entry.reference for entry in first.b}
    young = business(DAYS[0], -1)
    for entry in first.a:
        if entry.reference not in b and not entry.reversal and entry.value >= young and entry.code != "CHG" and not entry.text and abs(entry.amount) < 10_000_000:
            day.b.append(replace(entry, booked=DAYS[1], value=DAYS[1]))
    for entry in first.b:
        if entry.reference not in a and entry.value >= young and not entry.batch and not entry.text and abs(entry.amount) < 10_000_000:
            day.a.append(replace(entry, booked=DAYS[1], value=DAYS[1]))
    known = {entry.reference: entry for entry in first.b}
    for entry in first.a:
        other = known.get(entry.reference)
        if other and entry.account in (CASH, NOSTRO) and entry.amount - other.amount == -1:
            day.b.append(replace(entry, reference=f"ADJ-{entry.reference}", amount=-1, value=DAYS[1], booked=DAYS[1], text="rounding"))
    for account, cents, days, side in [(CASH, 98_000, 0, "a"), (OMS, -54_000, 0, "b"), (NOSTRO, 720_000, -1, "a"), (BROKER, 31_000_000, 0, "b"), (REPORTS, 2_000, 0, "a")]:
        getattr(day, side).append(day.entry(account, amount=cents, days=days))
    for account, cents, by in [(CASH, 44_000, 3), (BROKER, 610_000, 1_900), (PNL, 5_000_000, -120_000)]:
        one = day.entry(account, amount=cents, quantity=0)
        day.both(one, replace(one, amount=cents + by))
    return day


# -- files

def money(cents, mark="."):
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100}{mark}{abs(cents) % 100:02d}"


def booked(entries, account):
    return sum(entry.amount for entry in entries if entry.account == account and not entry.status and entry.currency == CURRENCY[account])


def camt(day, entries, opening):
    out = ['<?xml version="1.0" encoding="UTF-8"?>', '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08">', " <BkToCstmrStmt>",
           f"  <GrpHdr><MsgId>BANK-{day:%Y%m%d}</MsgId><CreDtTm>{day}T22:00:00</CreDtTm></GrpHdr>"]

    def balance(kind, cents, of):
        direction = "CRDT" if cents >= 0 else "DBIT"
        return (f'   <Bal><Tp><CdOrPrtry><Cd>{kind}</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">{money(abs(cents))}</Amt>'
                f"<CdtDbtInd>{direction}</CdtDbtInd><Dt><Dt>{of}</Dt></Dt></Bal>")

    for account in (CASH, PNL):
        mine = [entry for entry in entries if entry.account == account]
        closing = opening[account] + booked(entries, account)
        out += ["  <Stmt>", f"   <Id>{account[-6:]}-{day:%Y%m%d}</Id><ElctrncSeqNb>{day.timetuple().tm_yday}</ElctrncSeqNb>",
                f"   <Acct><Id><IBAN>{account}</IBAN></Id><Ccy>EUR</Ccy></Acct>",
                balance("OPBD", opening[account], business(day, -1)), balance("CLBD", closing, day),
                f"   <TxsSummry><TtlNtries><NbOfNtries>{len(mine)}</NbOfNtries><Sum>{money(sum(abs(entry.amount) for entry in mine))}</Sum></TtlNtries></TxsSummry>"]
        for number, entry in enumerate(mine):
            direction, role = ("CRDT", "Dbtr") if entry.amount >= 0 else ("DBIT", "Cdtr")
            reversal = "<RvslInd>true</RvslInd>" if entry.reversal else ""
            party = f"<RltdPties><{role}><Pty><Nm>{escape(entry.party)}</Nm></Pty></{role}></RltdPties>" if entry.party else ""
            text = f"<RmtInf><Ustrd>{escape(entry.text)}</Ustrd></RmtInf>" if entry.text else ""
            out += ["   <Ntry>",
                    f'    <Amt Ccy="EUR">{money(abs(entry.amount))}</Amt><CdtDbtInd>{direction}</CdtDbtInd>{reversal}<Sts><Cd>{entry.status or "BOOK"}</Cd></Sts>',
                    f"    <BookgDt><Dt>{entry.booked}</Dt></BookgDt><ValDt><Dt>{entry.value}</Dt></ValDt><AcctSvcrRef>{account[-4:]}{number + 1:04d}</AcctSvcrRef>",
                    f"    <BkTxCd><Prtry><Cd>{entry.code}</Cd></Prtry></BkTxCd>",
                    f"    <NtryDtls><TxDtls><Refs><EndToEndId>{entry.reference}</EndToEndId></Refs>{party}{text}</TxDtls></NtryDtls>", "   </Ntry>"]
        out.append("  </Stmt>")
    return "\n".join(out + [" </BkToCstmrStmt>", "</Document>"]) + "\n"


def mt940(day, entries, opening, twice):
    out = []

    def statement(account):
        mine = [entry for entry in entries if entry.account == account]
        currency = CURRENCY[account]

        def balance(cents, of):
            return f"{'C' if cents >= 0 else 'D'}{of:%y%m%d}{currency}{money(abs(cents), ',')}"

        lines = [f":20:STMT{day:%y%m%d}", f":25:{account}", f":28C:{day.timetuple().tm_yday:05d}/001", f":60F:{balance(opening[account], business(day, -1))}"]
        for number, entry in enumerate(mine):
            mark = ("RC" if entry.amount < 0 else "RD") if entry.reversal else ("C" if entry.amount >= 0 else "D")
            lines.append(f":61:{entry.value:%y%m%d}{entry.booked:%m%d}{mark}{money(abs(entry.amount), ',')}N{entry.code[:3]:X<3}{entry.reference[:16]}//{account[-4:]}{number + 1:05d}")
            lines.append(f":86:166?00ENTRY?20EREF+{entry.reference}?21SVWZ+{entry.text}?32{entry.party}")
        return lines + [f":62F:{balance(opening[account] + booked(entries, account), day)}", "-"]

    for account in (NOSTRO, CUSTODY):
        out += statement(account)
    for account in twice:
        out += statement(account)
    return "\n".join(out) + "\n"


def broker(path, entries, opening):
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["row", "account", "currency", "amount", "value_date", "booked", "reference", "counterparty", "code", "quantity", "price", "status", "note"])
        for account in (BROKER, OMS, OPTIONS, FX, LIFE, REPORTS):
            mine = [entry for entry in entries if entry.account == account]
            rows.writerow(["OPENING", account, CURRENCY[account], money(opening[account])] + [""] * 9)
            for entry in mine:
                rows.writerow(["ENTRY", account, entry.currency, money(entry.amount), entry.value, entry.booked, entry.reference, entry.party, entry.code,
                               entry.quantity or "", money(entry.price) if entry.price else "", entry.status, entry.text])
            rows.writerow(["CLOSING", account, CURRENCY[account], money(opening[account] + booked(entries, account))] + [""] * 9)


def ledger(path, day, entries, opening):
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, delimiter=";", lineterminator="\n")
        rows.writerow(["Kind", "Account", "Currency", "Debit", "Credit", "Value", "Posted", "Reference", "Batch", "Partner", "Quantity", "Price", "Status", "Text", "Count"])

        def sides(cents):
            mark = money(abs(cents), ",")
            return ["", mark] if cents >= 0 else [mark, ""]

        for account, currency in CURRENCY.items():
            mine = [entry for entry in entries if entry.account == account and entry.currency == currency]
            rows.writerow(["O", account, currency, *sides(opening[account])] + [""] * 10)
            for entry in mine:
                rows.writerow(["E", account, currency, *sides(entry.amount), entry.value.strftime("%d.%m.%Y"), entry.booked.strftime("%d.%m.%Y"), entry.reference, entry.batch,
                               entry.party, entry.quantity or "", money(entry.price, ",") if entry.price else "", entry.status, entry.text, ""])
            rows.writerow(["C", account, currency, *sides(opening[account] + booked(entries, account))] + [""] * 10)
            rows.writerow(["T", account, currency, *sides(sum(entry.amount for entry in mine))] + [""] * 9 + [len(mine)])
        # What was booked in another currency has no balance of its own.
        for entry in entries:
            if entry.currency != CURRENCY[entry.account]:
                rows.writerow(["E", entry.account, entry.currency, *sides(entry.amount), entry.value.strftime("%d.%m.%Y"), entry.booked.strftime("%d.%m.%Y"), entry.reference, "",
                               entry.party, "", "", "", entry.text, ""])


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--into", type=Path, default=Path(__file__).parent / "data")
    arguments.add_argument("--times", type=int, default=1)
    given = arguments.parse_args()
    into = given.into
    SAME.update({account: count * given.times for account, count in SAME.items()})
    first = first_day()
    opening = {"a": dict(OPENING), "b": dict(OPENING)}
    for books, twice in [(first, [CUSTODY]), (second_day(first), [])]:
        # The order of lines means nothing, and is another one on each side.
        books.chance.shuffle(books.a)
        books.chance.shuffle(books.b)
        folder = into / str(books.day)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "bank.xml").write_text(camt(books.day, books.a, opening["a"]), encoding="utf-8")
        (folder / "custodian.sta").write_text(mt940(books.day, books.a, opening["a"], twice), encoding="utf-8")
        broker(folder / "broker.csv", books.a, opening["a"])
        ledger(folder / "ledger.csv", books.day, books.b, opening["b"])
        for account in CURRENCY:
            opening["a"][account] += booked(books.a, account)
            opening["b"][account] += booked(books.b, account)
        print(f"{folder}: {len(books.a)} entries of the statements, {len(books.b)} of the ledger")


if __name__ == "__main__":
    main()
