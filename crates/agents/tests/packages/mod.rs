//! Programs of others that tests speak to: installed once beside the build, started on a free port, ended with the test.
#![allow(dead_code, clippy::print_stderr, reason = "each test file uses its part, and says what it skips")]

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Packages of npm in a folder of their own, or none where they cannot be installed.
pub(crate) fn npm(package: &str) -> Option<PathBuf> {
    installed("npm", package, |folder| {
        std::fs::write(folder.join("package.json"), "{\"private\": true}").ok()?;
        run(Command::new("npm").args(["install", "--silent", "--no-audit", "--no-fund", package]).current_dir(folder))
    })
}

/// Packages of Python in an environment of their own, or none where they cannot be installed.
pub(crate) fn python(package: &str) -> Option<PathBuf> {
    installed("python3", package, |folder| {
        run(Command::new("python3").args(["-m", "venv", "."]).current_dir(folder))?;
        run(Command::new(folder.join("bin/pip")).args(["install", "--quiet", "--disable-pip-version-check", package]))
    })
}

/// The files of a package of Python, without what it needs to run.
pub(crate) fn python_files(package: &str) -> Option<PathBuf> {
    installed("python3", package, |folder| {
        run(Command::new("python3").args(["-m", "venv", "."]).current_dir(folder))?;
        let quiet = ["install", "--quiet", "--disable-pip-version-check", "--no-deps", "--target", "files", package];
        run(Command::new(folder.join("bin/pip")).args(quiet).current_dir(folder))
    })
    .map(|folder| folder.join("files"))
}

/// The files of a crate, with its tests.
pub(crate) fn crate_files(name: &str, version: &str) -> Option<PathBuf> {
    installed("cargo", &format!("{name} {version}"), |folder| {
        let manifest =
            format!("[package]\nname = \"files\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n{name} = \"={version}\"\n");
        std::fs::create_dir_all(folder.join("src")).ok()?;
        std::fs::write(folder.join("Cargo.toml"), manifest).ok()?;
        std::fs::write(folder.join("src/lib.rs"), "").ok()?;
        run(Command::new("cargo").args(["vendor", "--quiet", "vendor"]).current_dir(folder))
    })
    .map(|folder| folder.join("vendor").join(name))
}

fn run(command: &mut Command) -> Option<()> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    if !output.status.success() {
        eprintln!("{command:?} said: {}", String::from_utf8_lossy(&output.stderr));
    }
    output.status.success().then_some(())
}

fn installed(needs: &str, package: &str, install: impl FnOnce(&Path) -> Option<()>) -> Option<PathBuf> {
    let there = Command::new(needs).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !there.is_ok_and(|status| status.success()) {
        eprintln!("skipped: there is no {needs} here, and {package} needs it");
        return None;
    }
    let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("packages");
    std::fs::create_dir_all(&all).ok()?;
    let name: String = package.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' }).collect();
    let (folder, lock) = (all.join(&name), File::create(all.join(format!("{name}.lock"))).ok()?);
    // Tests run side by side, and one of them installs.
    lock.lock().ok()?;
    if !folder.join("complete").is_file() {
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).ok()?;
        if install(&folder).is_none() {
            eprintln!("skipped: {package} cannot be installed here");
            return None;
        }
        std::fs::write(folder.join("complete"), "").ok()?;
    }
    Some(folder)
}

/// A server that was started, and ends when it is dropped.
pub(crate) struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a server, and waits until a line of what it writes holds `mark`: that line.
pub(crate) fn start(command: &mut Command, mark: &'static str) -> Option<(Started, String)> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().ok()?;
    let (tell, told) = mpsc::channel();
    let outputs: [Option<Box<dyn std::io::Read + Send>>; 2] =
        [child.stdout.take().map(|out| Box::new(out) as _), child.stderr.take().map(|err| Box::new(err) as _)];
    for output in outputs.into_iter().flatten() {
        let tell = tell.clone();
        std::thread::spawn(move || {
            let mut lines = BufReader::new(output);
            let mut line = String::new();
            while lines.read_line(&mut line).is_ok_and(|count| count > 0) {
                if line.contains(mark) {
                    let _ = tell.send(line.clone());
                    // What it writes from now on is read, and not looked at.
                    let _ = lines.read_to_end(&mut Vec::new());
                    return;
                }
                line.clear();
            }
        });
    }
    let started = Started(child);
    match told.recv_timeout(Duration::from_secs(60)) {
        Ok(line) => Some((started, line)),
        Err(_) => {
            eprintln!("skipped: {command:?} does not start here");
            None
        }
    }
}

/// A port that is free at the moment.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
