//! Children live in process groups of their own: nobody's signal hits the wrong one, and none is left behind.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use cairn_process::{Tool, ToolError};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpgrp, getsid};

fn sh(script: &str) -> Tool {
    Tool::new("sh", "dash", "test").args(["-c", script])
}

#[test]
fn a_signal_of_a_child_to_its_group_is_not_for_us() {
    // As mmdebstrap does when its standard output is closed.
    let error = sh("kill -HUP 0; sleep 1000").run().unwrap_err();
    let ToolError::Failed { status, .. } = error else { panic!("{error}") };
    assert_eq!(status.signal(), Some(Signal::SIGHUP as i32));
}

#[test]
fn who_reads_the_terminal_stays_in_our_group_and_session_and_others_have_no_terminal() {
    // The process group, the session, and the terminal as a number.
    let of = |tool: Tool| {
        let out = String::from_utf8(tool.output().unwrap()).unwrap();
        let words: Vec<i32> = out.split_whitespace().map(|word| word.parse().unwrap()).collect();
        <[i32; 3]>::try_from(words).unwrap()
    };
    let ask = || Tool::new("cut", "coreutils", "test").args(["-d ", "-f5-7", "/proc/self/stat"]);
    let [group, session, _] = of(ask().on_the_terminal());
    assert_eq!((group, session), (getpgrp().as_raw(), getsid(None).unwrap().as_raw()));
    let [group, session, terminal] = of(ask());
    assert_eq!((group, terminal), (session, 0));
    assert_ne!(session, getsid(None).unwrap().as_raw());
}

#[test]
fn a_grandchild_that_keeps_the_pipe_is_not_waited_for() {
    let error = sh("sleep 1000 & echo $! it broke >&2; exit 3").run().unwrap_err();
    let ToolError::Failed { status, stderr, .. } = error else { panic!("{error}") };
    assert_eq!(status.code(), Some(3));
    let (pid, said) = stderr.split_once(' ').unwrap();
    assert_eq!(said, "it broke");
    kill(Pid::from_raw(pid.parse().unwrap()), Signal::SIGKILL).unwrap();
}

#[test]
fn killing_a_child_kills_what_it_has_started() {
    for drops in [false, true] {
        let mut running = sh("sleep 1000 & echo ready; wait").start(Stdio::null(), Stdio::piped()).unwrap();
        let mut out = BufReader::new(running.take_stdout().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        if drops {
            drop(running);
        } else {
            running.kill();
        }
        // The pipe's other end is closed when the last of them is gone.
        let mut rest = Vec::new();
        out.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"");
    }
}

#[test]
fn a_child_that_was_asked_whether_it_has_ended_can_still_be_waited_for() {
    let mut running = sh("exit 7").start(Stdio::null(), Stdio::null()).unwrap();
    let status = loop {
        match running.try_wait().unwrap() {
            Some(status) => break status,
            None => std::thread::yield_now(),
        }
    };
    assert_eq!(status.code(), Some(7));
    let ToolError::Failed { status, .. } = running.wait().unwrap_err() else { panic!("it did not fail") };
    assert_eq!(status.code(), Some(7));
}
