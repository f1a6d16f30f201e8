//! Programs as agents: what is asked goes to their standard input as JSON, and their standard output is the answer.
//!
//! There is no shell. A program runs in a process group of its own, with no more of the environment than it is given, and
//! is ended together with everything that it started.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use quorate_core::{Failure, FailureClass, MAX_VALUE_BYTES};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::{mpsc, oneshot};

use crate::secret::{Revealed, Secret};
use crate::skill::Shelf;
use crate::wire::{answer, envelope, invalid, question, without_mark};
use crate::{Agent, Call, Outcome};

/// How much of what a program writes to its standard error is kept: the end of it.
const MAX_STDERR: usize = 4 * 1024;
/// How long the output of a program is read after the program itself has ended: somebody else may hold it open.
const LINGER: Duration = Duration::from_millis(500);
/// The exit code by which a program says that another attempt may go better.
const TRY_AGAIN: i32 = 75;
/// The exit code by which a launcher says that it could not start the program.
pub const NOT_STARTED: i32 = 127;
/// How a launcher begins to say so on standard error: programs end with the same code for reasons of their own.
pub const NOT_STARTED_MARK: &str = "quorate could not start ";
/// What every program gets from the environment.
const USUAL_ENV: [&str; 7] = ["PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "USER"];

/// A program that does work.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// What starts it, where it is not started directly: a command that becomes the program named behind it, and where it
    /// cannot, says so with [`NOT_STARTED_MARK`] and [`NOT_STARTED`].
    pub launcher: Vec<String>,
    /// Where it runs.
    pub folder: Option<PathBuf>,
    /// Variables that are set for it.
    pub env: Vec<(String, Secret)>,
    /// Variables that it gets from the environment, besides the usual ones.
    pub pass_env: Vec<String>,
    /// How many bytes it may write; 16 MiB where it is not given.
    pub max_output: Option<usize>,
    /// Where it finds the files of the skills that it gets.
    pub shelf: Shelf,
}

impl Agent {
    /// An agent that is a program, started for every call.
    #[must_use]
    pub fn from_program(id: &str, program: Program) -> Agent {
        let program = Arc::new(program);
        Agent::from_async(id, move |call| {
            let program = program.clone();
            async move { program.call(call).await }
        })
    }

    /// The same agent, asked whether it is well with a program that ends with 0 where it is.
    #[must_use]
    pub fn probed_with(self, probe: Program) -> Agent {
        let probe = Arc::new(probe);
        self.probed_by(move |_| {
            let probe = probe.clone();
            async move { probe.look_after().await }
        })
    }

    /// An agent that is a program which serves many calls: each is a line of JSON with an `id`, and so is its answer. It
    /// is started with the first call, and again when it has ended.
    #[must_use]
    pub fn from_server(id: &str, program: Program) -> Agent {
        let server = Arc::new(Server { program: Arc::new(program), mailbox: Mutex::new(None) });
        Agent::from_async(id, move |call| {
            let server = server.clone();
            async move { server.call(call).await }
        })
    }
}

/// Ends a whole process group when it is dropped.
pub(crate) struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Group {
        Group(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }

    fn send(&self, signal: Signal) {
        if let Some(group) = self.0 {
            // One that has ended needs no ending.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Group {
    /// Ends what is left of it. Nobody is sent anything afterwards: its number may belong to others by then.
    fn finish(&mut self) {
        self.send(Signal::KILL);
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.send(Signal::KILL);
    }
}

impl Program {
    fn name(&self) -> &str {
        self.command.first().map_or("", String::as_str)
    }

    pub(crate) fn start(&self, revealed: &mut Revealed) -> Result<(Child, Group), Failure> {
        let mut words = self.launcher.iter().chain(&self.command);
        let mut command = Command::new(words.next().map_or("", String::as_str));
        command.args(words).env_clear();
        let passed = USUAL_ENV.into_iter().chain(self.pass_env.iter().map(String::as_str));
        command.envs(passed.filter_map(|name| Some((name, std::env::var_os(name)?))));
        for (name, value) in &self.env {
            command.env(name, revealed.reveal(value)?);
        }
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
        let child = command.spawn().map_err(|wrong| {
            let class = match wrong.kind() {
                std::io::ErrorKind::NotFound | std::io::ErrorKind::PermissionDenied => FailureClass::Invalid,
                _ => FailureClass::Unavailable,
            };
            Failure::new(class, format!("could not start the program {}: {wrong}", self.name()))
        })?;
        let group = Group::of(&child);
        Ok((child, group))
    }

    async fn call(&self, call: Call) -> Outcome {
        let mut revealed = Revealed::default();
        let outcome = self.ask(&call, &mut revealed).await;
        revealed.kept_out_of(outcome)
    }

    async fn ask(&self, call: &Call, revealed: &mut Revealed) -> Outcome {
        let line = question(&call.request, None, &self.shelf)?;
        let (mut child, mut group) = self.start(revealed)?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let asking = async move {
            if let Some(mut stdin) = stdin {
                // A program that does not read what it is asked may answer all the same.
                let _ = stdin.write_all(line.as_bytes()).await;
            }
        };
        let limit = self.max_output.unwrap_or(MAX_VALUE_BYTES);
        let reading = read_all(stdout, limit);
        let talking = async { tokio::join!(asking, read_end(stderr)).1 };
        let ending = async {
            let status = tokio::select! {
                status = child.wait() => status,
                () = call.cancel.raised() => {
                    group.send(Signal::TERM);
                    child.wait().await
                }
            };
            // Whatever it left behind would hold its output open.
            group.finish();
            status
        };
        tokio::pin!(reading, talking, ending);
        let (mut written, mut complaint, mut status) = (None, None, None);
        let mut linger = std::pin::pin!(tokio::time::sleep(Duration::MAX));
        loop {
            tokio::select! {
                read = &mut reading, if written.is_none() => match read {
                    Ok(read) => written = Some(read),
                    Err(TooMuch) => return Err(invalid(format!("`{}` wrote more than the {limit} bytes allowed", self.name()))),
                },
                said = &mut talking, if complaint.is_none() => complaint = Some(said),
                ended = &mut ending, if status.is_none() => {
                    status = Some(ended);
                    linger.as_mut().reset(tokio::time::Instant::now() + LINGER);
                }
                () = &mut linger, if status.is_some() => break,
            }
            // Its output decides; what it complained about is of interest only where it failed.
            let well = matches!(&status, Some(Ok(status)) if status.success());
            if status.is_some() && written.is_some() && (well || complaint.is_some()) {
                break;
            }
        }
        match (status, written) {
            (Some(Ok(status)), Some(written)) if status.success() => self.read(&written),
            (Some(Ok(status)), None) if status.success() => {
                Err(invalid(format!("`{}` has ended, but something that it started holds its output open", self.name())))
            }
            (Some(Ok(status)), _) => Err(self.failed(status, &complaint.unwrap_or_default())),
            (Some(Err(wrong)), _) => Err(Failure::new(FailureClass::Internal, format!("`{}` is lost: {wrong}", self.name()))),
            (None, _) => unreachable!("it is waited for until it has ended"),
        }
    }

    /// Runs the program as a question whether all is well.
    async fn look_after(&self) -> Result<(), Failure> {
        let mut revealed = Revealed::default();
        let (mut child, _group) = self.start(&mut revealed)?;
        drop(child.stdin.take());
        let (written, complaint) = (read_end(child.stdout.take()), read_end(child.stderr.take()));
        let (status, _, complaint) = tokio::join!(child.wait(), written, complaint);
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => {
                let failure = self.failed(status, &revealed.redacted(&complaint));
                Err(Failure { class: FailureClass::Unavailable, ..failure })
            }
            Err(wrong) => Err(Failure::new(FailureClass::Internal, format!("`{}` is lost: {wrong}", self.name()))),
        }
    }

    fn read(&self, written: &[u8]) -> Outcome {
        match std::str::from_utf8(written) {
            Ok(text) => answer(text),
            Err(_) => Err(invalid(format!("`{}` wrote what is not UTF-8", self.name()))),
        }
    }

    pub(crate) fn failed(&self, status: ExitStatus, complaint: &str) -> Failure {
        use std::os::unix::process::ExitStatusExt as _;
        let (class, how) = match (status.code(), status.signal()) {
            (Some(NOT_STARTED), _) if complaint.starts_with(NOT_STARTED_MARK) => {
                let why = complaint.trim_start_matches(NOT_STARTED_MARK).trim();
                return Failure::new(FailureClass::Invalid, format!("could not start the program {why}"));
            }
            (Some(TRY_AGAIN), _) => (FailureClass::Unavailable, format!("ended with code {TRY_AGAIN}")),
            (Some(code), _) => (FailureClass::Internal, format!("ended with code {code}")),
            (None, Some(signal)) => (FailureClass::Internal, format!("was ended by signal {signal}{}", signal_name(signal))),
            (None, None) => (FailureClass::Internal, "ended, nobody knows how".to_owned()),
        };
        let complaint = complaint.trim();
        let complaint = if complaint.is_empty() { String::new() } else { format!(": {complaint}") };
        Failure::new(class, format!("`{}` {how}{complaint}", self.name()))
    }
}

fn signal_name(signal: i32) -> &'static str {
    match signal {
        2 => " (SIGINT)",
        6 => " (SIGABRT)",
        9 => " (SIGKILL)",
        11 => " (SIGSEGV)",
        15 => " (SIGTERM)",
        _ => "",
    }
}

/// More was written than is allowed.
struct TooMuch;

async fn read_all(stdout: Option<ChildStdout>, limit: usize) -> Result<Vec<u8>, TooMuch> {
    let mut written = Vec::new();
    if let Some(stdout) = stdout {
        // One byte more than allowed tells that there are more.
        let mut stdout = stdout.take(limit as u64 + 1);
        // What breaks off is read as far as it came: its status says the rest.
        let _ = stdout.read_to_end(&mut written).await;
    }
    if written.len() > limit { Err(TooMuch) } else { Ok(written) }
}

/// The end of what is written, however much it is.
pub(crate) async fn read_end(stderr: Option<impl AsyncRead + Unpin>) -> String {
    let mut kept: Vec<u8> = Vec::new();
    let mut piece = [0; 4_096];
    if let Some(mut stderr) = stderr {
        while let Ok(count @ 1..) = stderr.read(&mut piece).await {
            kept.extend_from_slice(&piece[..count]);
            if kept.len() > 2 * MAX_STDERR {
                // One byte more than is kept tells that there were more.
                kept.drain(..kept.len() - MAX_STDERR - 1);
            }
        }
    }
    let cut = if kept.len() > MAX_STDERR { "…" } else { "" };
    kept.drain(..kept.len().saturating_sub(MAX_STDERR));
    // A letter that was cut is gone.
    let text = String::from_utf8_lossy(&kept);
    format!("{cut}{}", if cut.is_empty() { &text } else { text.trim_start_matches(char::REPLACEMENT_CHARACTER) })
}

/// A program that serves many calls.
struct Server {
    program: Arc<Program>,
    /// Where calls go to while the program runs.
    mailbox: Mutex<Option<Open>>,
}

/// A program that runs: where calls go to, and the secrets that it was given.
#[derive(Clone)]
struct Open {
    mailbox: mpsc::UnboundedSender<Message>,
    revealed: Arc<Revealed>,
}

enum Message {
    Ask(Box<Call>, oneshot::Sender<Heard>),
    /// Somebody gave a call up.
    GivenUp,
}

/// What comes back of a call.
enum Heard {
    Answer(Outcome),
    /// The program ended before it was asked: the next one may be.
    NotAsked(Box<Call>),
}

impl Server {
    async fn call(&self, call: Call) -> Outcome {
        let cancel = call.cancel.clone();
        let mut call = Box::new(call);
        loop {
            let (tell, told) = oneshot::channel();
            let Open { mailbox, revealed } = self.hand_over(Message::Ask(call, tell))?;
            let mut waiting = Waiting { mailbox, told };
            let heard = tokio::select! {
                biased;
                heard = &mut waiting.told => heard,
                // Nobody can tell it to stop one call: it is told to stop as a whole, before others wait behind that one.
                () = cancel.raised() => return Err(silent(&self.program)),
            };
            match heard {
                Ok(Heard::Answer(outcome)) => return revealed.kept_out_of(outcome),
                Ok(Heard::NotAsked(again)) => call = again,
                Err(_) => return Err(silent(&self.program)),
            }
        }
    }

    /// Gives a call to the program that runs, or starts it.
    fn hand_over(&self, message: Message) -> Result<Open, Failure> {
        let mut mailbox = self.mailbox.lock().unwrap_or_else(PoisonError::into_inner);
        let message = match &*mailbox {
            None => message,
            Some(open) => match open.mailbox.send(message) {
                Ok(()) => return Ok(open.clone()),
                // It has ended, and is started again.
                Err(mpsc::error::SendError(message)) => message,
            },
        };
        let mut revealed = Revealed::default();
        let (child, group) = self.program.start(&mut revealed)?;
        let (sender, receiver) = mpsc::unbounded_channel();
        // The other end is in hand.
        let _ = sender.send(message);
        let open = Open { mailbox: sender, revealed: Arc::new(revealed) };
        *mailbox = Some(open.clone());
        tokio::spawn(serve(self.program.clone(), child, group, receiver));
        Ok(open)
    }
}

/// A call whose answer somebody waits for.
struct Waiting {
    mailbox: mpsc::UnboundedSender<Message>,
    told: oneshot::Receiver<Heard>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if matches!(self.told.try_recv(), Err(oneshot::error::TryRecvError::Empty)) {
            // A program that has ended has given it up as well.
            let _ = self.mailbox.send(Message::GivenUp);
        }
    }
}

/// Carries calls to a program and answers back, until one of the two ends.
async fn serve(program: Arc<Program>, mut child: Child, mut group: Group, mut mailbox: mpsc::UnboundedReceiver<Message>) {
    let mut open: HashMap<u64, oneshot::Sender<Heard>> = HashMap::new();
    let lines = spawn_writer(&mut child);
    let mut answers = spawn_reader(&mut child, program.max_output.unwrap_or(MAX_VALUE_BYTES));
    let complaint = tokio::spawn(read_end(child.stderr.take()));
    let mut last = 0;
    let mut ask = |call: &Call, tell: oneshot::Sender<Heard>, open: &mut HashMap<u64, oneshot::Sender<Heard>>| {
        last += 1;
        match question(&call.request, Some(last), &program.shelf) {
            Ok(line) => {
                open.insert(last, tell);
                // A writer that is gone says that the program is: its status follows.
                let _ = lines.send(line);
            }
            // Nobody may be waiting any more.
            Err(wrong) => drop(tell.send(Heard::Answer(Err(wrong)))),
        }
    };
    // The call that it was started for is asked in any case: otherwise one that ends at once would be started for ever.
    if let Some(Message::Ask(call, tell)) = mailbox.recv().await {
        ask(&call, tell, &mut open);
    }
    let ended = loop {
        tokio::select! {
            message = mailbox.recv() => match message {
                Some(Message::Ask(call, tell)) => ask(&call, tell, &mut open),
                // Its answer may have come in the meantime. Otherwise the program is stuck.
                Some(Message::GivenUp) => if open.values().any(oneshot::Sender::is_closed) {
                    stop(&mut child, &mut group).await;
                    let stuck = format!("`{}` did not stop, and was ended for it", program.name());
                    break Failure::new(FailureClass::Unavailable, stuck);
                },
                // Whoever called it is gone for good.
                None => return,
            },
            line = answers.recv() => match line {
                Some(Ok(line)) => match deliver(&line, &mut open) {
                    Ok(()) => {}
                    Err(wrong) => break wrong,
                },
                Some(Err(too_long)) => break too_long,
                // It says nothing any more: it has ended, or is about to.
                None => {
                    let status = stop(&mut child, &mut group).await;
                    break gone(&program, status, complaint).await;
                }
            },
            status = child.wait() => {
                // Whatever it left behind would hold its output open.
                group.finish();
                let mut odd = None;
                while let Ok(Some(Ok(line))) = tokio::time::timeout(LINGER, answers.recv()).await {
                    // What it said last counts.
                    odd = odd.or(deliver(&line, &mut open).err());
                }
                let well = status.as_ref().is_ok_and(ExitStatus::success);
                break match odd.filter(|_| well) {
                    Some(odd) => odd,
                    None => gone(&program, status.ok(), complaint).await,
                };
            }
            // It takes no questions any more.
            () = lines.closed(), if !lines.is_closed() || !open.is_empty() => {
                let status = stop(&mut child, &mut group).await;
                break gone(&program, status, complaint).await;
            }
        }
    };
    // From here on calls start it again.
    mailbox.close();
    while let Some(message) = mailbox.recv().await {
        if let Message::Ask(call, tell) = message {
            drop(tell.send(Heard::NotAsked(call)));
        }
    }
    // Nobody knows whose answer it was that could not be read: where several calls are open, each may be asked again.
    let class = if open.len() > 1 { FailureClass::Unavailable } else { ended.class };
    for tell in open.into_values() {
        drop(tell.send(Heard::Answer(Err(Failure { class, ..ended.clone() }))));
    }
}

/// Ends a program, politely first, and says how it ended.
async fn stop(child: &mut Child, group: &mut Group) -> Option<ExitStatus> {
    group.send(Signal::TERM);
    let status = tokio::time::timeout(LINGER, child.wait()).await.ok().and_then(Result::ok);
    // Its successor finds nothing of it.
    group.finish();
    status
}

fn silent(program: &Program) -> Failure {
    Failure::new(FailureClass::Unavailable, format!("`{}` ended before it answered", program.name()))
}

/// Why a program that served many calls answers none any more.
async fn gone(program: &Program, status: Option<ExitStatus>, complaint: tokio::task::JoinHandle<String>) -> Failure {
    match status {
        Some(status) if !status.success() => {
            let complaint = tokio::time::timeout(LINGER, complaint).await;
            let failed = program.failed(status, &complaint.ok().and_then(Result::ok).unwrap_or_default());
            Failure { class: FailureClass::Unavailable, ..failed }
        }
        _ => silent(program),
    }
}

/// Gives an answer to whoever waits for it.
fn deliver(line: &[u8], open: &mut HashMap<u64, oneshot::Sender<Heard>>) -> Result<(), Failure> {
    #[derive(serde::Deserialize)]
    struct Id {
        id: u64,
    }
    let Ok(text) = std::str::from_utf8(line) else { return Err(invalid("it wrote a line that is not UTF-8".to_owned())) };
    let text = without_mark(text);
    if text.is_empty() {
        return Ok(());
    }
    let Ok(Id { id }) = serde_json::from_str(text) else {
        let shown: String = text.chars().take(80).collect();
        return Err(invalid(format!(
            "it wrote a line that is no answer: {}; an answer is JSON with the `id` of its call",
            shown.escape_debug()
        )));
    };
    if let Some(tell) = open.remove(&id) {
        // Nobody may be waiting any more.
        let _ = tell.send(Heard::Answer(envelope(text)));
    }
    Ok(())
}

fn spawn_writer(child: &mut Child) -> mpsc::UnboundedSender<String> {
    let (sender, mut lines) = mpsc::unbounded_channel::<String>();
    let stdin = child.stdin.take();
    tokio::spawn(async move {
        let Some(mut stdin) = stdin else { return };
        while let Some(line) = lines.recv().await {
            if stdin.write_all(line.as_bytes()).await.is_err() {
                return;
            }
        }
    });
    sender
}

fn spawn_reader(child: &mut Child, limit: usize) -> mpsc::Receiver<Result<Vec<u8>, Failure>> {
    let (sender, receiver) = mpsc::channel(16);
    let stdout = child.stdout.take();
    tokio::spawn(async move {
        let Some(stdout) = stdout else { return };
        let mut stdout = BufReader::new(stdout);
        loop {
            let mut line = Vec::new();
            let read = (&mut stdout).take(limit as u64 + 1).read_until(b'\n', &mut line).await;
            let line = match read {
                Ok(0) | Err(_) => return,
                Ok(_) if line.len() > limit => Err(invalid(format!("it wrote a line of more than the {limit} bytes allowed"))),
                Ok(_) => Ok(line),
            };
            let last = line.is_err();
            if sender.send(line).await.is_err() || last {
                return;
            }
        }
    });
    receiver
}
