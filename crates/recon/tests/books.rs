//! Files as people and banks write them, and what is read from them.
#![allow(clippy::unwrap_used, reason = "this is a test")]

use insta::assert_snapshot;
use quorate_recon::books::{self, Encoding, Format, Mapping, Statement};

const MAPPING: &str = r#"{
    "separator": ";", "decimal": ",", "thousands": ".", "date": "%d.%m.%Y",
    "columns": { "account": { "fixed": "4711" }, "currency": "Currency", "amount": "Amount", "value_date": "Value", "booked": "Booked",
                 "reference": "Reference", "counterparty": "Who", "text": "Text" },
    "sign": { "column": "D/C", "out": ["D"], "in": ["C"] },
    "rows": { "column": "Kind", "entry": ["E"], "opening": ["O"], "closing": ["S"], "total": ["T"], "count": "Text" }
}"#;

fn mapping(text: &str) -> Format {
    Format::Csv(Box::new(serde_json::from_str::<Mapping>(text).unwrap()))
}

fn statement(statement: &Statement) -> String {
    let balance = |balance: &Option<books::Balance>| balance.as_ref().map_or("?".to_owned(), |it| format!("{} ({})", it.amount, it.place));
    let Statement { account, currency, id, number, opening, closing, .. } = statement;
    let name = |name: &Option<std::sync::Arc<str>>| name.clone().unwrap_or_else(|| "-".into());
    let mut told =
        format!("{}: {account} {currency} {} {}: {} to {}", statement.place, name(id), name(number), balance(opening), balance(closing));
    for item in &statement.items {
        told += &format!("\n  {}: {} {} {}", item.place.line, item.amount, item.currency, item.value_date);
        let texts = [
            ("booked", item.booked.map(|day| day.to_string().into())),
            ("ref", item.reference.clone()),
            ("bank", item.bank_reference.clone()),
            ("batch", item.batch.clone()),
            ("with", item.counterparty.clone()),
            ("code", item.code.clone()),
            ("status", item.status.clone()),
            ("reversal", Some("".into()).filter(|_| item.reversal)),
            ("text", Some(item.text.clone()).filter(|text| !text.is_empty())),
        ];
        for (name, text) in texts.into_iter().filter_map(|(name, text)| Some((name, text?))) {
            told += &format!(" {name}:{text}");
        }
    }
    told
}

fn told(format: &Format, bytes: &[u8]) -> String {
    match books::read("file", format, Encoding::Utf8, bytes) {
        Err(wrong) => wrong.to_string(),
        Ok(mut statements) => {
            let mut lines: Vec<String> = statements.iter().map(statement).collect();
            let checks = books::check(&mut statements, &|_, _| true, &[]);
            lines.extend(checks.faults.iter().map(|fault| format!("{}: {}: {}", fault.place, fault.kind, fault.what)));
            lines.join("\n")
        }
    }
}

#[test]
fn a_table_is_read_as_its_mapping_says() {
    assert_snapshot!(told(&mapping(MAPPING), "Kind;Currency;Amount;D/C;Value;Booked;Reference;Who;Text
O;EUR;1.000,00;C;27.02.2026;;;;
E;EUR;1.250,50;C;02.03.2026;02.03.2026;INV-7;ACME GmbH;\"two; words\"
E;EUR;0,50;D;02.03.2026;03.03.2026;NOTPROVIDED;;fee
S;EUR;2.250,00;C;03.03.2026;;;;
T;EUR;1.250,00;C;03.03.2026;;;;2
".as_bytes()), @"
    file:2: 4711 EUR - -: 1000.00 (file:2) to 2250.00 (file:5)
      3: 1250.50 EUR 2026-03-02 booked:2026-03-02 ref:INV-7 with:ACME GmbH text:two; words
      4: -0.50 EUR 2026-03-02 booked:2026-03-03 text:fee
    ");
}

#[test]
fn a_table_that_does_not_add_up_is_read_and_said() {
    assert_snapshot!(told(&mapping(MAPPING), "Kind;Currency;Amount;D/C;Value;Booked;Reference;Who;Text
O;EUR;1.000,00;C;27.02.2026;;;;
E;EUR;10,00;C;02.03.2026;;A;;
S;EUR;1.020,00;C;03.03.2026;;;;
T;EUR;11,00;C;03.03.2026;;;;2
".as_bytes()), @"
    file:2: 4711 EUR - -: 1000.00 (file:2) to 1020.00 (file:4)
      3: 10.00 EUR 2026-03-02 ref:A
    file:4: consistency: 1,000.00 before and 10.00 of one entry make 1,010.00, and not 1,020.00: 10.00 do not add up
    file:5: control total: it says that its entries come to 11.00, and they come to 10.00
    file:5: control total: it says that it has 2 entries, and has 1
    ");
}

#[test]
fn every_mistake_of_a_table_is_told_with_its_line() {
    let header = "Kind;Currency;Amount;D/C;Value;Booked;Reference;Who;Text\n";
    assert_snapshot!(told(&mapping(MAPPING), format!("{header}\
E;EUR;1,2,3;C;02.03.2026;;A;;
E;euro;1,00;C;02.03.2026;;A;;
E;EUR;1,00;H;02.03.2026;;A;;
E;EUR;1,00;C;30.02.2026;;A;;
E;EUR;123456789012345678901234567890,00;C;02.03.2026;;A;;
E;EUR;1,00;C;02.03.2026
X;EUR;1,00;C;02.03.2026;;A;;
E;EUR;;C;02.03.2026;;A;;
E;EUR;1,00;C;;;A;;
").as_bytes()), @r#"file could not be read: line 2: `1,2,3` is not an amount such as 1.250,00; line 3: "euro" is not a currency: it is three capital letters, as in EUR; line 4: `H` in column `D/C` does not say in which direction it goes; line 5: `30.02.2026` is not a date as in 31.03.2026; line 6: `123456789012345678901234567890,00` has 30 digits before the decimal mark and 2 behind it; up to 15 and 6 are read exactly, and nothing is rounded; line 7: this row has 5 columns, and the table 9; line 8: `X` in column `Kind` is no kind of row that the mapping knows; line 9: the row has no amount; line 10: the row has no date"#);
    assert_snapshot!(told(&mapping(MAPPING), b"Kind;Currency;Amount;Value\n"), @"file could not be read: line 1: there are no columns `Booked`, `D/C`, `Reference`, `Text`, `Who`; there are: Kind, Currency, Amount, Value");
    assert_snapshot!(told(&mapping(MAPPING), b""), @"file could not be read: line 1: it is empty: there is no line that names its columns");
    assert_snapshot!(told(&mapping(MAPPING), [header.as_bytes(), b"E;EUR;1,00;C;02.03.2026;;A;M\xfcller;\n"].concat().as_slice()), @"file could not be read: line 2: behind `M` stands no UTF-8; if it was written by an older system, `encoding: latin1` may be meant");
    assert_snapshot!(told(&mapping(MAPPING), format!("{header}E;EUR;1,00;C;02.03.2026;;A;;\"open\nE;EUR;1,00;C;02.03.2026;;A;;\n").as_bytes()), @"file could not be read: line 2: a quote opens here and is never closed");
}

#[test]
fn debits_credits_and_running_balances() {
    let table = r#"{ "columns": { "account": "account", "currency": "currency", "debit": "debit", "credit": "credit", "value_date": "day", "balance": "balance" } }"#;
    assert_snapshot!(told(&mapping(table), b"account,currency,debit,credit,day,balance
1,EUR,,10.00,2026-03-02,110.00
1,EUR,0.00,5.00,2026-03-02,115.00
2,USD,,1.00,2026-03-02,1.00
1,EUR,15.00,,2026-03-03,100.00
"), @"
    file:2: 1 EUR - -: 100.00 (file:2) to 100.00 (file:5)
      2: 10.00 EUR 2026-03-02
      3: 5.00 EUR 2026-03-02
      5: -15.00 EUR 2026-03-03
    file:4: 2 USD - -: 0.00 (file:4) to 1.00 (file:4)
      4: 1.00 USD 2026-03-02
    ");
    assert_snapshot!(told(&mapping(table), b"account,currency,debit,credit,day,balance
1,EUR,,10.00,2026-03-02,110.00
1,EUR,,5.00,2026-03-02,125.00
1,EUR,1.00,5.00,2026-03-02,
1,EUR,,,2026-03-02,
"), @"file could not be read: line 3: the balance is 125.00 after 5.00, and 110.00 before it: rows are missing, or do not stand in order; line 4: the row has both a debit and a credit; line 5: the row has neither a debit nor a credit");
}

const CAMT: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08">
 <BkToCstmrStmt>
  <GrpHdr><MsgId>M1</MsgId></GrpHdr>
  <Stmt>
   <Id>S-2026-03-02</Id>
   <ElctrncSeqNb>42</ElctrncSeqNb>
   <Acct><Id><IBAN>DE02120300000000202051</IBAN></Id><Ccy>EUR</Ccy></Acct>
   <Bal><Tp><CdOrPrtry><Cd>OPBD</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">100.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2026-02-27</Dt></Dt></Bal>
   <Bal><Tp><CdOrPrtry><Cd>CLBD</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">55.00</Amt><CdtDbtInd>DBIT</CdtDbtInd><Dt><Dt>2026-03-02</Dt></Dt></Bal>
   <Bal><Tp><CdOrPrtry><Cd>CLAV</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">9999.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2026-03-02</Dt></Dt></Bal>
   <TxsSummry>
    <TtlNtries><NbOfNtries>3</NbOfNtries><Sum>355.00</Sum><TtlNetNtry><Amt>145.00</Amt><CdtDbtInd>DBIT</CdtDbtInd></TtlNetNtry></TtlNtries>
   </TxsSummry>
   <Ntry>
    <NtryRef>1</NtryRef><Amt Ccy="EUR">250.00</Amt><CdtDbtInd>DBIT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>
    <BookgDt><Dt>2026-03-02</Dt></BookgDt><ValDt><DtTm>2026-03-02T10:00:00+01:00</DtTm></ValDt><AcctSvcrRef>BANK-1</AcctSvcrRef>
    <BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>ICDT</Cd><SubFmlyCd>ESCT</SubFmlyCd></Fmly></Domn></BkTxCd>
    <NtryDtls>
     <Btch><PmtInfId>PAY-7</PmtInfId><NbOfTxs>2</NbOfTxs></Btch>
     <TxDtls><Refs><EndToEndId>E2E-1</EndToEndId></Refs><Amt Ccy="EUR">100.00</Amt><CdtDbtInd>DBIT</CdtDbtInd>
      <RltdPties><Cdtr><Pty><Nm>Maier &amp; S&#246;hne</Nm></Pty></Cdtr></RltdPties><RmtInf><Ustrd>invoice 1</Ustrd><Ustrd>of March</Ustrd></RmtInf></TxDtls>
     <TxDtls><Refs><EndToEndId>E2E-2</EndToEndId></Refs><Amt Ccy="EUR">150.00</Amt></TxDtls>
    </NtryDtls>
   </Ntry>
   <Ntry>
    <Amt Ccy="EUR">95.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><RvslInd>true</RvslInd><Sts>BOOK</Sts>
    <BookgDt><Dt>2026-03-02</Dt></BookgDt><NtryDtls><TxDtls><Refs><EndToEndId>NOTPROVIDED</EndToEndId></Refs>
     <RltdPties><Dbtr><Nm>ACME</Nm></Dbtr></RltdPties><RmtInf><Strd><CdtrRefInf><Ref>RF18</Ref></CdtrRefInf></Strd></RmtInf></TxDtls></NtryDtls>
   </Ntry>
   <Ntry>
    <Amt Ccy="EUR">10.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>PDNG</Sts><ValDt><Dt>2026-03-03</Dt></ValDt><AddtlNtryInf><![CDATA[still < open]]></AddtlNtryInf>
   </Ntry>
  </Stmt>
 </BkToCstmrStmt>
</Document>
"#;

#[test]
fn a_statement_of_iso_20022() {
    let format = Format::Camt053 { whole_batches: false };
    assert_snapshot!(told(&format, CAMT.as_bytes()), @"
    file:5: DE02120300000000202051 EUR S-2026-03-02 42: 100.00 (file:9) to -55.00 (file:10)
      21: -100.00 EUR 2026-03-02 booked:2026-03-02 ref:E2E-1 bank:BANK-1 batch:PAY-7 with:Maier & Söhne code:PMNT/ICDT/ESCT text:invoice 1 of March
      23: -150.00 EUR 2026-03-02 booked:2026-03-02 ref:E2E-2 bank:BANK-1 batch:PAY-7 code:PMNT/ICDT/ESCT
      26: 95.00 EUR 2026-03-02 booked:2026-03-02 ref:RF18 with:ACME reversal:
      31: 10.00 EUR 2026-03-03 status:PDNG text:still < open
    ");
    // The same as .02 writes it, of which a batch stays whole.
    let older = CAMT.replace("<Sts><Cd>BOOK</Cd></Sts>", "<Sts>BOOK</Sts>").replace("<Pty>", "").replace("</Pty>", "");
    let whole = told(&Format::Camt053 { whole_batches: true }, older.as_bytes());
    assert_snapshot!(whole.lines().find(|line| line.contains("batch")).unwrap(), @"  15: -250.00 EUR 2026-03-02 booked:2026-03-02 ref:1 bank:BANK-1 batch:PAY-7 code:PMNT/ICDT/ESCT");
}

/// A statement with these balances and entries.
fn camt(balances: &[(&str, &str)], entries: &str) -> String {
    let balance = |(kind, amount): &(&str, &str)| {
        format!(
            "<Bal><Tp><CdOrPrtry><Cd>{kind}</Cd></CdOrPrtry></Tp><Amt Ccy=\"EUR\">{amount}</Amt><CdtDbtInd>CRDT</CdtDbtInd>\
             <Dt><Dt>2026-03-02</Dt></Dt></Bal>\n"
        )
    };
    let balances: String = balances.iter().map(balance).collect();
    format!("<Stmt><Acct><Id><IBAN>DE02</IBAN></Id><Ccy>EUR</Ccy></Acct>\n{balances}{entries}</Stmt>\n")
}

fn ntry(amount: &str, more: &str) -> String {
    format!("<Ntry><Amt Ccy=\"EUR\">{amount}</Amt><CdtDbtInd>CRDT</CdtDbtInd><ValDt><Dt>2026-03-02</Dt></ValDt>{more}</Ntry>\n")
}

fn of_camt(statements: &[String]) -> String {
    let text = format!("<Document><BkToCstmrStmt>\n{}</BkToCstmrStmt></Document>", statements.concat());
    told(&Format::Camt053 { whole_batches: false }, text.as_bytes())
}

#[test]
fn a_page_of_iso_20022_begins_and_ends_with_what_there_is_in_between() {
    let first = camt(&[("OPBD", "100"), ("ITBD", "150")], &ntry("50", ""));
    let second = camt(&[("ITBD", "150"), ("ITBD", "160")], &ntry("10", ""));
    let last = camt(&[("ITBD", "160"), ("CLBD", "185")], &ntry("25", ""));
    assert_snapshot!(of_camt(&[first.clone(), second, last.clone()]), @"
    file:2: DE02 EUR - -: 100 (file:3) to 150 (file:4)
      5: 50 EUR 2026-03-02
    file:7: DE02 EUR - -: 150 (file:8) to 160 (file:9)
      10: 10 EUR 2026-03-02
    file:12: DE02 EUR - -: 160 (file:13) to 185 (file:14)
      15: 25 EUR 2026-03-02
    ");
    assert_snapshot!(of_camt(&[first, last.replace("185", "900")]), @"
    file:2: DE02 EUR - -: 100 (file:3) to 150 (file:4)
      5: 50 EUR 2026-03-02
    file:7: DE02 EUR - -: 160 (file:8) to 900 (file:9)
      10: 25 EUR 2026-03-02
    file:4: consistency: it ends in the middle, with 150.00, and the page that follows it is not there
    file:8: continuity: it begins with 160.00, and the statement before ended with 150.00: 10.00 are missing in between
    file:9: consistency: 160.00 before and 25.00 of one entry make 185.00, and not 900.00: 715.00 do not add up
    ");
}

/// What is said of statements of which one end is missing.
#[test]
fn a_statement_is_there_from_its_beginning_to_its_end() {
    let only = |said: String| {
        said.lines().filter(|line| line.contains(": consistency: ") || line.contains(": continuity: ")).collect::<Vec<_>>().join("\n")
    };
    let faults = |format: &Format, text: &str| only(told(format, text.as_bytes()));
    let sta = |begins: &str, ends: &str| format!(":20:X\n:25:1/EUR\n:28C:7/1\n{begins}:61:260302C10,NTRFA\n{ends}-\n");
    let (first, last) = (":60F:C260302EUR0,\n", ":62F:C260302EUR10,\n");
    let (middle, middle_10) = (":60M:C260302EUR0,\n", ":62M:C260302EUR10,\n");
    assert_eq!(faults(&Format::Mt940, &sta(first, last)), "");
    assert_snapshot!(faults(&Format::Mt940, &sta(first, "")), @"file:4: consistency: it begins with 0.00, and does not say what it ends with: its end may be missing");
    assert_snapshot!(faults(&Format::Mt940, ":20:X\n:25:12345678EUR\n:28C:7/1\n-\n"), @"file:1: consistency: it says neither what it begins with nor what it ends with: its end may be missing");
    assert_snapshot!(faults(&Format::Mt940, &sta(first, middle_10)), @"file:6: consistency: it ends in the middle, with 10.00, and the page that follows it is not there");
    assert_snapshot!(faults(&Format::Mt940, &sta(middle, last)), @"file:4: consistency: it begins in the middle, with 0.00, and the page before it is not there");
    // The pages meet, in one message or in two.
    let second = sta(":60M:C260302EUR10,\n", ":62F:C260302EUR20,\n");
    assert_eq!(faults(&Format::Mt940, &(sta(first, middle_10) + &second)), "");
    assert_eq!(faults(&Format::Mt940, &(sta(first, middle_10) + &second.replace("7/1", "8/1"))), "");

    assert_snapshot!(only(of_camt(&[camt(&[("OPBD", "0")], &ntry("10", ""))])), @"file:3: consistency: it begins with 0.00, and does not say what it ends with: its end may be missing");
    assert_snapshot!(only(of_camt(&[camt(&[("OPBD", "0"), ("ITBD", "10")], &ntry("10", ""))])), @"file:4: consistency: it ends in the middle, with 10.00, and the page that follows it is not there");
    // Some banks say only how it ends, and some say of each page that it is the last.
    assert_eq!(only(of_camt(&[camt(&[("CLBD", "10")], &ntry("10", ""))])), "");
    let page = |number: u32, balance: (&str, &str)| {
        let head = format!("<Stmt><Id>S</Id><StmtPgntn><PgNb>{number}</PgNb><LastPgInd>true</LastPgInd></StmtPgntn>");
        camt(&[balance], &ntry("10", "")).replace("<Stmt>", &head)
    };
    assert_eq!(only(of_camt(&[page(1, ("OPBD", "0")), page(2, ("CLBD", "20"))])), "");

    // A table has an end only where its mapping knows one.
    let table = "Kind;Currency;Amount;D/C;Value;Booked;Reference;Who;Text\nO;EUR;5,00;C;02.03.2026;;;;\nE;EUR;1,00;C;02.03.2026;;A;;\n";
    assert_snapshot!(faults(&mapping(MAPPING), table), @"file:2: consistency: it begins with 5.00, and does not say what it ends with: its end may be missing");
    assert_eq!(faults(&mapping(&MAPPING.replace(r#""closing": ["S"],"#, "")), table), "");
}

#[test]
fn pages_of_iso_20022_are_brought_into_their_order_and_none_may_be_missing() {
    let page = |number: u32, last: bool, balances: &[(&str, &str)], amount: &str, direction: &str| {
        let pages = format!("<Stmt>\n<StmtPgntn><PgNb>{number}</PgNb><LastPgInd>{last}</LastPgInd></StmtPgntn>");
        camt(balances, &ntry(amount, "").replace("CRDT", direction)).replace("<Stmt>", &pages)
    };
    // Balances alone do not tell their order.
    let first = page(1, false, &[("OPBD", "0"), ("ITBD", "10")], "10", "CRDT");
    let second = page(2, false, &[("ITBD", "10"), ("ITBD", "0")], "10", "DBIT");
    let third = page(3, true, &[("ITBD", "0"), ("CLBD", "30")], "30", "CRDT");
    let faults = |pages: &[&String]| -> String {
        let told = of_camt(&pages.iter().map(|page| (*page).clone()).collect::<Vec<_>>());
        told.lines().filter(|line| line.contains("continuity") || line.contains("consistency")).collect::<Vec<_>>().join("\n")
    };
    for order in [[&first, &second, &third], [&third, &second, &first], [&third, &first, &second], [&second, &first, &third]] {
        assert_eq!(faults(&order), "");
    }
    assert_snapshot!(faults(&[&first, &second]), @"file:8: continuity: it is page 2, and the one that follows it is not there");
    assert_snapshot!(faults(&[&third]), @"file:2: continuity: it is page 3, and page 2 is not there");
    assert_snapshot!(faults(&[&first, &third]), @"
    file:2: continuity: it is page 1, and the one that follows it is not there
    file:8: continuity: it is page 3, and page 2 is not there
    file:10: continuity: it begins with 0.00, and the statement before ended with 10.00: -10.00 are missing in between
    ");
    // Two statements that come through each other, and are the same in between; a bank that calls each page the last; and a page that is of
    // a statement whose first page is missing, behind one that has only one.
    let named = |page: &str, id: &str| page.replace("<Stmt>", &format!("<Stmt><Id>{id}</Id>"));
    let [one, two] = [named(&first, "S1"), named(&page(2, true, &[("ITBD", "10"), ("CLBD", "0")], "10", "DBIT"), "S1")];
    let [three, four] = [
        named(&first.replace("2026-03-02", "2026-03-03"), "S2"),
        named(&page(2, true, &[("ITBD", "10"), ("CLBD", "30")], "20", "CRDT"), "S2"),
    ];
    for order in [[&one, &three, &two, &four], [&four, &one, &three, &two], [&four, &one, &two, &three]] {
        assert_eq!(faults(&order), "", "{}", of_camt(&order.map(Clone::clone)));
    }
    assert_eq!(faults(&[&one.replace("false", "true"), &two]), "");
    let alone = named(&page(1, true, &[("OPBD", "0"), ("CLBD", "10")], "10", "CRDT"), "S0");
    assert_snapshot!(faults(&[&alone, &two]), @"file:8: continuity: it is page 2, and page 1 is not there");
}

#[test]
fn what_an_entry_of_iso_20022_was_exchanged_from_is_not_what_was_booked() {
    let exchanged = ntry(
        "92",
        "<AmtDtls><TxAmt><Amt Ccy=\"USD\">100</Amt></TxAmt></AmtDtls><NtryDtls><TxDtls><Refs><EndToEndId>F</EndToEndId></Refs><AmtDtls><TxAmt><Amt Ccy=\"USD\">100</Amt></TxAmt></AmtDtls></TxDtls></NtryDtls>",
    );
    let fee_taken_off = ntry("98", "<AmtDtls><TxAmt><Amt Ccy=\"EUR\">100</Amt></TxAmt></AmtDtls>");
    let listed = ntry(
        "98",
        "<NtryDtls><TxDtls><Amt Ccy=\"EUR\">100</Amt></TxDtls><TxDtls><Amt Ccy=\"EUR\">2</Amt><CdtDbtInd>DBIT</CdtDbtInd></TxDtls></NtryDtls>",
    );
    let not_booked = ntry("7", "<Sts><Prtry>PENDING</Prtry></Sts>");
    let summary = "<TxsSummry><TtlCdtNtries><NbOfNtries>4</NbOfNtries><Sum>295</Sum></TtlCdtNtries><TtlDbtNtries><Sum>0</Sum></TtlDbtNtries></TxsSummry>\n";
    let entries = [summary, &exchanged, &fee_taken_off, &listed, &not_booked].concat();
    assert_snapshot!(of_camt(&[camt(&[("OPBD", "0"), ("CLBD", "288")], &entries)]), @"
    file:2: DE02 EUR - -: 0 (file:3) to 288 (file:4)
      6: 92 EUR 2026-03-02 ref:F
      7: 98 EUR 2026-03-02
      8: 100 EUR 2026-03-02
      8: -2 EUR 2026-03-02
      9: 7 EUR 2026-03-02 status:PENDING
    ");
}

#[test]
fn an_entry_in_another_currency_is_in_no_balance() {
    let mixed = camt(&[("OPBD", "100"), ("CLBD", "672")], &[ntry("520", ""), ntry("52", "").replace("EUR", "USD")].concat());
    assert_snapshot!(of_camt(&[mixed]), @"
    file:2: DE02 EUR - -: 100 (file:3) to 672 (file:4)
      5: 520 EUR 2026-03-02
      6: 52 USD 2026-03-02
    file:6: currency: this entry is in USD, and the account in EUR
    file:4: consistency: 100.00 before and 520.00 of 2 entries make 620.00, and not 672.00: 52.00 do not add up
    ");
}

#[test]
fn lines_are_counted_as_in_an_editor() {
    let table = "\nKind;Currency;Amount;D/C;Value;Booked;Reference;Who;Text\n\nE;EUR;1,00;C;02.03.2026;;A;;\"two\nlines\"\n\n\nE;EUR;2,00;C;02.03.2026;;B;;\nE;EUR;x;C;02.03.2026;;B;;\n";
    assert_snapshot!(told(&mapping(MAPPING), table.as_bytes()), @"file could not be read: line 9: `x` is not an amount such as 1.250,00");
    let fine = table.replace(";x;", ";3,00;");
    assert_snapshot!(told(&mapping(MAPPING), fine.as_bytes()), @"
    file:4: 4711 EUR - -: ? to ?
      4: 1.00 EUR 2026-03-02 ref:A text:two
    lines
      8: 2.00 EUR 2026-03-02 ref:B
      9: 3.00 EUR 2026-03-02 ref:B
    ");
    assert_eq!(told(&mapping(MAPPING), fine.replace('\n', "\r\n").as_bytes()).replace('\r', ""), told(&mapping(MAPPING), fine.as_bytes()));
}

#[test]
fn what_is_written_in_utf_16_is_told_so() {
    let of = |text: &str| -> Vec<u8> { [0xff, 0xfe].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect() };
    assert_snapshot!(told(&mapping(MAPPING), &of("Kind;Currency")), @"file could not be read: line 1: it is written in UTF-16; it is read in UTF-8, or where `encoding` says so in Latin-1");
    assert_snapshot!(told(&Format::Mt940, &of(MT940)), @"file could not be read: line 1: it is written in UTF-16; it is read in UTF-8, or where `encoding` says so in Latin-1");
}

#[test]
fn what_a_statement_of_iso_20022_may_not_be() {
    let format = Format::Camt053 { whole_batches: false };
    let read = |text: &str| told(&format, text.as_bytes());
    assert_snapshot!(read(&CAMT.replace("</Stmt>", "")), @"file could not be read: line 35: it is no well-formed XML: ill-formed document: expected `</Stmt>`, but `</BkToCstmrStmt>` was found");
    assert_snapshot!(read(&CAMT[..900]), @"file could not be read: line 15: it ends within <Stmt>");
    assert_snapshot!(read(&CAMT.replace("BkToCstmrStmt", "BkToCstmrAcctRpt")), @"file could not be read: line 1: it holds no <BkToCstmrStmt>: it is no camt.053 statement");
    assert_snapshot!(read(&CAMT.replace("95.00", "95,00").replace("CRDT</CdtDbtInd><RvslInd>", "KRDT</CdtDbtInd><RvslInd>")), @"file could not be read: line 27: `95,00` is not an amount such as 1250.00; line 27: `KRDT` is neither CRDT nor DBIT; line 30: this entry lacks its amount, its currency or its direction");
    assert_snapshot!(read(&CAMT.replace(">95.00", ">123456789012345678901234567890.00")), @"file could not be read: line 27: `123456789012345678901234567890.00` has 30 digits before the decimal mark and 2 behind it; up to 15 and 6 are read exactly, and nothing is rounded; line 30: this entry lacks its amount, its currency or its direction");
    assert_snapshot!(read(&CAMT.replace("<Ccy>EUR</Ccy>", "<Ccy>USD</Ccy>")), @"file could not be read: line 9: the opening balance is in EUR, and the account in USD; line 10: the closing balance is in EUR, and the account in USD");
    assert_snapshot!(read(&CAMT.replace("encoding=\"UTF-8\"", "encoding=\"ISO-8859-1\"")), @"file could not be read: line 1: it says that it is written in iso-8859-1; statements are read in UTF-8");
    assert_snapshot!(told(&format, &CAMT.replace("ACME", "M\u{fc}").bytes().filter(|byte| *byte != 0xc3).collect::<Vec<_>>()), @"file could not be read: line 29: a letter here is no UTF-8, in which camt.053 is written");
    assert_snapshot!(told(&format, b"\xff\xfe<\x00"), @"file could not be read: line 1: it is written in UTF-16; camt.053 is read in UTF-8");
    assert_snapshot!(read(&CAMT.replace("ACME", "&lol;")), @"file could not be read: line 29: nobody knows what `&lol;` stands for");
    let bomb =
        CAMT.replace("?>\n", "?>\n<!DOCTYPE lolz [<!ENTITY lol \"lol\"><!ENTITY lol2 \"&lol;&lol;&lol;\">]>\n").replace("ACME", "&lol2;");
    assert_snapshot!(read(&bomb), @"file could not be read: line 2: it declares a document type, which a statement has no use for");
    assert_snapshot!(read(&format!("{}{}", "<a>".repeat(100), "</a>".repeat(100))), @"file could not be read: line 1: elements lie in each other more than 64 deep");
    assert_snapshot!(read(""), @"file could not be read: line 1: it holds no <BkToCstmrStmt>: it is no camt.053 statement");
}

const MT940: &str = "{1:F01BANKDEFFXXXX0000000000}{2:O9400000000000BANKDEFFXXXX00000000000000000000N}{4:
:20:STARTUMSE
:25:12030000/0000202051
:28C:00042/001
:60F:C260227EUR100,00
:61:2603020302DR250,00NTRFE2E-1//BANK-1
:86:166?00TRANSFER?20EREF+E2E-LONG-ONE?21SVWZ+invoice 1?22 of March?32ACME GMBH
:61:2512310102C95,N051NONREF
more about it
:86:paid with thanks
:61:260302RC5,00NMSCX
:86:/TRTP/SEPA/NAME/J JANSSEN/REMI/huur/EREF/E2E-9
:62M:D260302EUR60,00
-}
:20:STARTUMSE
:25:12030000/0000202051
:28C:00042/002
:60M:D260302EUR60,00
:86:this is about the statement
:61:260302D40,00NCHGFEE
:62F:D260302EUR100,00
:64:D260302EUR100,00
-
";

#[test]
fn a_statement_of_swift() {
    assert_snapshot!(told(&Format::Mt940, MT940.as_bytes()), @"
    file:2: 12030000/0000202051 EUR STARTUMSE 00042/001: 100.00 (file:5) to -100.00 (file:21)
      6: -250.00 EUR 2026-03-02 booked:2026-03-02 ref:E2E-LONG-ONE bank:BANK-1 with:ACME GMBH code:TRF text:invoice 1 of March
      8: 95 EUR 2025-12-31 booked:2026-01-02 code:051 text:more about it paid with thanks
      11: -5.00 EUR 2026-03-02 ref:E2E-9 with:J JANSSEN code:MSC reversal: text:huur
      20: -40.00 EUR 2026-03-02 ref:FEE code:CHG
    ");
    // The account may carry its currency, and lines may end as on other systems.
    let other = MT940.replace("0000202051\n", "0000202051 EUR\n").replace('\n', "\r\n");
    assert_eq!(told(&Format::Mt940, other.as_bytes()), told(&Format::Mt940, MT940.as_bytes()));
}

#[test]
fn what_is_only_expected_is_not_booked() {
    let expected = ":20:X\n:25:1\n:60F:C260302EUR0,\n:61:260302EC100,NTRFA\n:61:260302C5,NTRFB\n:62F:C260302EUR5,\n-\n";
    assert_snapshot!(told(&Format::Mt940, expected.as_bytes()), @"
    file:1: 1 EUR X -: 0 (file:3) to 5 (file:6)
      4: 100 EUR 2026-03-02 ref:A code:TRF status:PDNG
      5: 5 EUR 2026-03-02 ref:B code:TRF
    ");
}

#[test]
fn what_a_statement_of_swift_may_not_be() {
    let read = |text: &str| told(&Format::Mt940, text.as_bytes());
    assert_snapshot!(read(&MT940.replace("DR250,00", "X250,00").replace("260302RC", "260230RC").replace("C95,", "C95.00")), @"file could not be read: line 6: `2603020302X250,00NTRFE2E-1//BANK-1`: neither C nor D says in which direction it goes; an entry begins as in 2603310401D1250,00NTRF; line 8: `2512310102C95.00N051NONREF`: no kind of transaction such as NTRF stands behind the amount 95; an entry begins as in 2603310401D1250,00NTRF; line 11: `260230` is not a day as in 260331");
    assert_snapshot!(read(&MT940.replace(":60F:C260227EUR", ":60F:C260227eur").replace(":25:12030000/0000202051\n", "")), @r#"file could not be read: line 4: "eur" is not a currency: it is three capital letters, as in EUR; line 2: this statement has no field :25:, and so no account; line 14: this statement has no field :25:, and so no account"#);
    assert_snapshot!(read("nothing of the kind"), @"file could not be read: line 1: it holds no field :20: and no :25:: it is no MT940 statement");
    assert_snapshot!(told(&Format::Mt940, &MT940.replace("ACME", "M\u{fc}").bytes().filter(|byte| *byte != 0xc3).collect::<Vec<_>>()), @"file could not be read: line 7: behind `ce 1?22 of March?32M` stands no UTF-8; if it was written by an older system, `encoding: latin1` may be meant");
    assert_snapshot!(read(&format!(":20:X\n:86:{}", "a\n".repeat(100))), @"file could not be read: line 66: field :86: has more than 64 lines");
    assert_snapshot!(read(&format!(":20:X\n:86:{}", "a".repeat(2_000_000))), @"file could not be read: line 2: the line has more than the 1048576 bytes that a line may have");
    // The second page is missing, and one that belongs to something else stands in its place.
    assert_snapshot!(read(&MT940.replace(":60M:D260302EUR60,00", ":60M:D260302EUR70,00")), @"
    file:2: 12030000/0000202051 EUR STARTUMSE 00042/001: 100.00 (file:5) to -60.00 (file:13)
      6: -250.00 EUR 2026-03-02 booked:2026-03-02 ref:E2E-LONG-ONE bank:BANK-1 with:ACME GMBH code:TRF text:invoice 1 of March
      8: 95 EUR 2025-12-31 booked:2026-01-02 code:051 text:more about it paid with thanks
      11: -5.00 EUR 2026-03-02 ref:E2E-9 with:J JANSSEN code:MSC reversal: text:huur
    file:15: 12030000/0000202051 EUR STARTUMSE 00042/002: -70.00 (file:18) to -100.00 (file:21)
      20: -40.00 EUR 2026-03-02 ref:FEE code:CHG
    file:13: consistency: it ends in the middle, with -60.00, and the page that follows it is not there
    file:18: continuity: it begins with -70.00, and the statement before ended with -60.00: -10.00 are missing in between
    file:21: consistency: -70.00 before and -40.00 of one entry make -110.00, and not -100.00: 10.00 do not add up
    ");
}

#[test]
fn statements_are_chained_by_their_balances_and_what_was_there_before_does_not_count() {
    let day = |opening: &str, amount: &str, closing: &str, reference: &str| {
        format!(":20:X\n:25:1\n:60F:C260302EUR{opening}\n:61:260302C{amount}NTRF{reference}\n:62F:C260302EUR{closing}\n-\n")
    };
    let (first, second, third) = (day("0,", "10,", "10,", "A"), day("10,", "5,", "15,", "B"), day("16,", "1,", "17,", "C"));
    let read = |text: &str| books::read("file", &Format::Mt940, Encoding::Utf8, text.as_bytes()).unwrap();
    let checked = |text: &str, before: &[books::Known]| {
        let mut statements = read(text);
        let checks = books::check(&mut statements, &|account, _| account == "1", before);
        let references =
            statements.iter().flat_map(|it| it.items.iter().filter_map(|item| item.reference.as_deref())).collect::<Vec<_>>().join(" ");
        let faults: Vec<String> = checks.faults.iter().map(|fault| format!("{}: {}: {}", fault.place, fault.kind, fault.what)).collect();
        (format!("{references}\n{}", faults.join("\n")), checks.left)
    };
    let (all, left) = checked(&[&*second, &first, &third].concat(), &[]);
    assert_snapshot!(all, @"
    A B C
    file:15: continuity: it begins with 16.00, and the statement before ended with 15.00: 1.00 are missing in between
    ");
    assert_snapshot!(checked(&[&*first, &second, &first].concat(), &[]).0, @"
    A B
    file:13: duplicate: it is the statement at file:1 once more; its entry does not count
    ");
    assert_snapshot!(checked(&[third.as_str(), &day("17,", "1,", "18,", "D")].concat(), &left).0, @"
    D
    file:1: duplicate: it is a statement that was reconciled before; its entry does not count
    ");
    // Several days later; and one of the same sums, for something else.
    let (_, later) = checked(&day("17,", "1,", "18,", "D"), &left);
    assert_snapshot!(checked(&second, &later).0, @"

    file:1: duplicate: it is a statement that was reconciled before; its entry does not count
    ");
    assert_snapshot!(checked(&second.replace("NTRFB", "NCHGB"), &later).0, @"
    B
    file:3: continuity: it begins with 10.00, and the statement before ended with 18.00: -8.00 are missing in between
    ");
    assert_snapshot!(checked(&first.replace(":25:1", ":25:2"), &left).0, @"
    A
    file:1: unknown account: account 2 in EUR is not one that is reconciled
    ");
}
