//! Signals to the command while a child works: it says so, ends with a promised code, and takes the child with it.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::Child;

use cairn_process::find;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};

use crate::fixture::{Fixture, told};

/// Says that it has begun, and then works for a long time. `alive` is open for as long as it, or its child, lives.
const WORKS: &str =
    "trap 'kill $!; exit 1' TERM\nexec 3>\"$here/alive\"\necho begun >&3\nsleep 1000 & wait $!\nwait $!\nexit 1\n";

/// Cleans up when it is told to end, until somebody opens `go`. A signal would end that.
const CLEANS: &str = "trap 'cat \"$here/go\" && : > \"$here/cleaned\"; exit 1' TERM\nexec 3>\"$here/alive\"\necho begun >&3\n\
                      sleep 1000 & wait $!\nexit 1\n";

struct Works {
    made: Fixture,
    alive: File,
    child: Child,
}

/// Starts a build, and waits until its mmdebstrap is at work.
fn works(program: &str, args: &[&str]) -> Option<Works> {
    works_as(WORKS, program, args)
}

fn works_as(script: &str, program: &str, args: &[&str]) -> Option<Works> {
    let made = Fixture::new(script)?;
    mkfifo(&made.path("alive"), Mode::from_bits_truncate(0o600)).unwrap();
    let mut command = made.build(program, args);
    if program == "script" {
        command.stdin(std::process::Stdio::piped());
    }
    let child = command.spawn().unwrap();
    let mut alive = File::open(made.path("alive")).unwrap();
    let mut word = [0; 6];
    alive.read_exact(&mut word).unwrap();
    assert_eq!(&word, b"begun\n");
    Some(Works { made, alive, child })
}

impl Works {
    fn send(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// The end of all: exit code and standard error, once nobody has `alive` any more.
    fn end(mut self) -> (Option<i32>, String) {
        let mut rest = Vec::new();
        self.alive.read_to_end(&mut rest).unwrap();
        let output = self.child.wait_with_output().unwrap();
        drop(self.made);
        told(&output)
    }
}

const CAIRN: &str = env!("CARGO_BIN_EXE_cairn");

#[test]
fn a_signal_to_the_command_ends_it_and_its_children_with_a_message() {
    for (signal, code, message) in [
        (Signal::SIGINT, 130, "cairn: interrupted (SIGINT)\n"),
        (Signal::SIGTERM, 143, "cairn: ended by a signal (SIGTERM)\n"),
        (Signal::SIGHUP, 129, "cairn: ended because the terminal was closed (SIGHUP)\n"),
    ] {
        let Some(works) = works(CAIRN, &["build", "m.yaml"]) else { return };
        works.send(signal);
        let (ended, err) = works.end();
        assert_eq!(ended, Some(code), "{err}");
        assert!(err.ends_with(message) && err.matches("cairn: ").count() == 1, "{err}");
    }
}

#[test]
fn children_that_clean_up_after_themselves_are_waited_for_unless_a_second_signal_comes() {
    for again in [false, true] {
        let Some(mut works) = works_as(CLEANS, CAIRN, &["build", "m.yaml"]) else { return };
        let (go, cleaned) = (works.made.path("go"), works.made.path("cleaned"));
        mkfifo(&go, Mode::from_bits_truncate(0o600)).unwrap();
        works.send(Signal::SIGINT);
        // It takes longer than the command itself would wait.
        let mut err = BufReader::new(works.child.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains("waiting up to 60 s until the files of packages are removed") {
            assert_ne!(err.read_line(&mut said).unwrap(), 0, "{said}");
        }
        if again {
            works.send(Signal::SIGINT);
        } else {
            drop(File::options().write(true).open(go).unwrap());
        }
        err.read_to_string(&mut said).unwrap();
        assert_eq!(works.child.wait().unwrap().code(), Some(130), "{said}");
        works.alive.read_to_end(&mut Vec::new()).unwrap();
        assert_eq!(cleaned.exists(), !again, "{said}");
        assert!(said.ends_with("cairn: interrupted (SIGINT)\n"), "{said}");
    }
}

#[test]
fn a_command_that_is_killed_takes_its_children_along() {
    let Some(works) = works(CAIRN, &["build", "m.yaml"]) else { return };
    works.send(Signal::SIGKILL);
    assert_eq!(works.end().0, None);
}

#[test]
fn what_nohup_has_it_ignore_is_ignored() {
    let script = "trap '' HUP; exec \"$0\" build m.yaml";
    let Some(works) = works("sh", &["-c", script, CAIRN]) else { return };
    works.send(Signal::SIGHUP);
    works.send(Signal::SIGTERM);
    let (ended, err) = works.end();
    assert_eq!(ended, Some(143), "{err}");
}

#[test]
fn ctrl_c_on_the_terminal_reaches_children_in_groups_of_their_own() {
    if find("script").is_none() {
        cairn_testkit::skip("needs script");
        return;
    }
    let line = format!("'{CAIRN}' build m.yaml");
    let Some(mut works) = works("script", &["-qefc", &line, "/dev/null"]) else { return };
    let mut terminal = works.child.stdin.take().unwrap();
    terminal.write_all(b"\x03").unwrap();
    let mut shown = String::new();
    let mut out = works.child.stdout.take().unwrap();
    out.read_to_string(&mut shown).unwrap();
    drop(terminal);
    let (ended, _) = works.end();
    assert_eq!(ended, Some(130), "{shown}");
    assert!(shown.contains("cairn: interrupted (SIGINT)"), "{shown}");
}
