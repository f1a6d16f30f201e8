//! What people see at a terminal: the screen as it stands after a command, and what Ctrl-C does.
#![allow(clippy::unwrap_used, reason = "this is a test")]

mod house;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::num::NonZeroU16;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use house::{House, house, masked, send, until};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

const ROWS: NonZeroU16 = NonZeroU16::new(24).unwrap();
const COLUMNS: NonZeroU16 = NonZeroU16::new(80).unwrap();

/// Written to a terminal when its command has ended. The end of the file does not do: it may come ahead of the last lines.
const END: u8 = 0x04;

/// A terminal of 80 columns, and the command that has it.
struct Terminal {
    command: Child,
    line: File,
    screen: Arc<Mutex<vt100::Parser>>,
    reader: std::thread::JoinHandle<()>,
}

impl Terminal {
    fn type_in(house: &House, line: &str) -> Terminal {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        tcsetwinsize(&master, Winsize { ws_row: ROWS.get(), ws_col: COLUMNS.get(), ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let line_of = || File::options().read(true).write(true).open(&name).unwrap();
        let tty = || Stdio::from(line_of());
        let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
        command.args(line.split_whitespace()).current_dir(house.path()).env("USER", "eve").env("TERM", "xterm").env_remove("NO_COLOR");
        let command = command.stdin(tty()).stdout(tty()).stderr(tty()).spawn().unwrap();
        let screen = Arc::new(Mutex::new(vt100::Parser::new(ROWS, COLUMNS, 0)));
        let reader = std::thread::spawn({
            let screen = screen.clone();
            move || read(master, &screen)
        });
        Terminal { command, line: line_of(), screen, reader }
    }

    /// What stands on the screen now.
    fn shows(&self) -> String {
        let contents = self.screen.lock().unwrap().screen().contents();
        contents.lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim_end().to_owned()
    }

    fn wait_for(&self, text: &str) {
        until(text, || self.shows().contains(text));
    }

    /// What is left on the screen when the command has ended, and how it ended.
    fn ended(mut self) -> String {
        let status = self.command.wait().unwrap();
        self.line.write_all(&[END]).unwrap();
        let Terminal { reader, screen, .. } = self;
        reader.join().unwrap();
        let contents = screen.lock().unwrap().screen().contents();
        // A spinner may stand anywhere.
        let contents: String = contents.chars().map(|sign| if "⠙⠹⠸⠼⠴⠦⠧".contains(sign) { '⠋' } else { sign }).collect();
        let lines: Vec<String> = contents.lines().map(|line| narrow(&masked(line.trim_end()))).collect();
        format!("{}\nexit {}", lines.join("\n").trim_end(), status.code().unwrap())
    }
}

/// Columns are as wide as what was masked: between them, any number of spaces is as good as two.
fn narrow(line: &str) -> String {
    let text = line.trim_start();
    let mut narrow = line[..line.len() - text.len()].to_owned();
    let mut cells = text.split("  ").filter(|cell| !cell.is_empty()).map(str::trim);
    narrow.push_str(cells.next().unwrap_or_default());
    cells.for_each(|cell| narrow.push_str(&format!("  {cell}")));
    narrow
}

fn read(master: OwnedFd, screen: &Mutex<vt100::Parser>) {
    let mut master = File::from(master);
    let mut piece = [0; 4_096];
    loop {
        let count = master.read(&mut piece).unwrap();
        let (written, ended) = match &piece[..count] {
            [written @ .., END] => (written, true),
            written => (written, false),
        };
        screen.lock().unwrap().process(written);
        if ended {
            return;
        }
    }
}

#[test]
fn a_run_is_a_tree_that_stays_where_it_was_drawn() {
    let house = house();
    house.write("agents/bank.yaml", "agents:\n  bank:\n    exec: [sh, -c, 'echo closed >&2; exit 75']\n");
    house.write(
        "workflows/pay.yaml",
        "
continue_on_failure: true
tasks:
  - { id: prepare, agent: std.sleep, params: { ms: 250 } }
  - { id: pay, agent: bank, depends_on: [prepare], retry: { max_retries: 1, initial_delay: 400ms } }
  - { id: report, agent: std.echo, depends_on: [pay] }
",
    );
    let terminal = Terminal::type_in(&house, "run pay");
    terminal.wait_for("retrying");
    insta::assert_snapshot!(masked(&terminal.shows()), @"
    ✓ prepare  succeeded  std.sleep  <took>
    ↻ pay      retrying   bank  <took>
        attempt 1 failed, next in <took>: unavailable: `sh` ended with code 75:
        closed
    · report   waiting
    ");
    insta::assert_snapshot!(terminal.ended(), @"
      ✓ prepare  succeeded  std.sleep  <took>
      ✗ pay  failed  bank  <took>
          2 attempts: unavailable: `sh` ended with code 75: closed
      – report  skipped  pay did not succeed
    run <id> failed: pay failed (unavailable: `sh` ended with code 75: closed), after <took>
    hint: `quorate runs explain <id>` tells the whole story
    exit 1
    ");
}

#[test]
fn many_items_are_a_number_and_what_is_wrong_with_one_is_shown() {
    let house = house();
    house.write("agents/bank.yaml", "agents:\n  bank:\n    exec: [sh, -c, 'grep -q input.:17, && exit 65; exit 0']\n");
    house.write(
        "workflows/pay.yaml",
        "
input: { all: [number] }
continue_on_failure: true
tasks:
  - { id: pay, for_each: { items: input.all, keep_going: true, max_parallel: 4 }, agent: bank, input: '{{ item }}' }
  - { id: report, agent: std.set, depends_on: [pay], params: { value: done } }
",
    );
    let all: Vec<String> = (1..=20).map(|number| number.to_string()).collect();
    let terminal = Terminal::type_in(&house, &format!("run pay -i {{\"all\":[{}]}}", all.join(",")));
    insta::assert_snapshot!(terminal.ended(), @"
      ✓ pay  succeeded  <took>  20 of 20
      ✗ pay[16]  failed  bank  <took>  internal: `sh` ended with code 65
      ✓ report  succeeded  std.set  <took>
      … 22 tasks: 21 succeeded, 1 failed
    done
    run <id> has ended well, in <took>
    exit 0
    ");
}

#[test]
fn a_list_is_a_table() {
    let house = house();
    assert!(house.type_in("run greet -i '{\"name\": \"Ann\"}'").ends_with("exit 0"));
    assert!(
        house
            .type_in("run release -i '{\"version\": \"1.2 with a name that is far too long for a terminal of eighty columns\"}'")
            .ends_with("exit 5")
    );
    insta::assert_snapshot!(Terminal::type_in(&house, "runs list").ended(), @"
    RUN  WORKFLOW  STATUS  STARTED  TOOK  BY
    <id>  release  waiting  <time>  <took>  eve
    <id>  greet  succeeded  <time>  <took>  eve
    exit 0
    ");
    insta::assert_snapshot!(Terminal::type_in(&house, "approvals list").ended(), @"
    APPROVAL  UNTIL  BY  QUESTION
    <id>/sign_off  -  2 of the group leads  Ship 1.2 with a name that is fa…
    exit 0
    ");
}

/// Columns that are wide give way to what is asked; times and ids are worth nothing when they are cut.
#[test]
fn what_is_asked_can_be_read_in_eighty_columns() {
    let house = house();
    let question = "Pay 12,500.00 EUR to a customer who has asked for it three times this week?";
    let approval = format!("{{ question: '{question}', by: {{ groups: [leads, deputies], at_least: 2 }}, within: 1d }}");
    house.write("workflows/paying-out-to-customers.yaml", &format!("tasks: [{{ id: agree, approval: {approval} }}]\n"));
    assert!(house.type_in("run paying-out-to-customers").ends_with("exit 5"));
    insta::assert_snapshot!(Terminal::type_in(&house, "approvals list").ended(), @"
    APPROVAL  UNTIL  BY  QUESTION
    <id>/agree  <time>  2 of the group l…  Pay 12,500.00 EUR to a …
    exit 0
    ");
}

/// Minor columns give way, and those in which nothing stands.
#[test]
fn statistics_fit_into_eighty_columns() {
    let house = house();
    house.write("agents/a.yaml", "agents: { senior-developer: { use: std.echo, version: 12.0.3, max_concurrent: 16 } }\n");
    house.write(
        "workflows/w.yaml",
        "tasks: [{ id: a, agent: senior-developer }, { id: b, agent: std.fail, params: { class: unavailable } }]\n",
    );
    assert!(house.type_in("run w").ends_with("exit 1"));
    let terminal = Terminal::type_in(&house, "agents stats");
    let shown = terminal.ended();
    insta::assert_snapshot!(shown, @"
    AGENT  VERSION  CALLS  OK  P50  P99  BUSY  WHAT FAILED
    senior-developer  12.0.3  1  100.0 %  <took>  <took>  0/16
    std.fail  1  1  0.0 %  <took>  <took>  0  1 unavailable
    exit 0
    ");
}

#[test]
fn what_others_wrote_does_not_steer_the_terminal() {
    let house = house();
    let evil = "tasks: [{ id: say, agent: std.set, params: { value: \"1\\u202E000 \\u009B2J\" } }]\n";
    house.write("workflows/evil.yaml", evil);
    assert!(house.run(&["run", "evil", "-q", "--as", "mallory\u{1b}[2J\u{202e}"], "").status.success());
    for line in ["runs show last", "runs explain last", "runs list"] {
        let shown = Terminal::type_in(&house, line).ended();
        assert!(shown.contains("mallory [2J"), "nothing was wiped away: {shown}");
        assert!(!shown.contains('\u{202e}') && !shown.contains('\u{9b}'), "{shown}");
    }
}

#[test]
fn many_records_have_a_bar_with_a_rate_and_the_time_that_is_left() {
    let house = house();
    house.write("workflows/nap.yaml", "tasks: [{ id: nap, agent: std.sleep, params: { ms: 120 } }]\n");
    house.write("naps.jsonl", &"{}\n".repeat(10));
    let terminal = Terminal::type_in(&house, "run nap --each naps.jsonl --jobs 1 --out out.jsonl");
    terminal.wait_for("5/10");
    let bar = terminal.shows();
    assert!(bar.contains("█") && bar.contains("/s") && bar.contains("left"), "{bar}");
    insta::assert_snapshot!(terminal.ended(), @"
    nap of 10 records: 10 succeeded
    exit 0
    ");
}

#[test]
fn ctrl_c_leaves_a_run_and_ctrl_c_twice_cancels_it() {
    let house = house();
    house.write(
        "workflows/long.yaml",
        "tasks: [{ id: nap, agent: std.sleep, params: { ms: 60000 } }, { id: after, agent: std.echo, depends_on: [nap] }]\n",
    );
    let terminal = Terminal::type_in(&house, "run long");
    terminal.wait_for("running");
    send("INT", &terminal.command);
    insta::assert_snapshot!(terminal.ended(), @"
      ⠋ nap  running  std.sleep  <took>
      · after  waiting
    Ctrl-C again cancels the run; otherwise it is left as it is
    left run <id>, which waits for nap, which is under way
    hint: `quorate runs watch <id>` goes on with it
    exit 130
    ");

    let terminal = Terminal::type_in(&house, "runs watch last");
    terminal.wait_for("2 attempts");
    send("INT", &terminal.command);
    terminal.wait_for("Ctrl-C again");
    send("INT", &terminal.command);
    insta::assert_snapshot!(terminal.ended(), @"
      ⠋ nap  running  std.sleep  <took>  2 attempts
      · after  waiting
    Ctrl-C again cancels the run; otherwise it is left as it is
      □ nap  cancelled  std.sleep  <took>  2 attempts: the run was cancelled
      – after  skipped  the run was cancelled
    run <id> was cancelled, after <took>
    hint: `quorate runs explain <id>` tells the whole story
    exit 1
    ");
    assert!(house.type_in("runs list").contains("cancelled"));
}
