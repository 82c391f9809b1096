//! Stopping all children: alone in its file, for it stops those of other tests as well.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use cairn_process::{Tool, ToolError, stop_children};
use nix::sys::signal::Signal;

#[test]
fn all_children_and_what_they_have_started_are_stopped_wherever_they_are() {
    for on_the_terminal in [false, true] {
        // Exec: in our own group only the child itself is listed.
        let script = if on_the_terminal { "echo ready; exec sleep 1000" } else { "sleep 1000 & echo ready; wait" };
        let mut tool = Tool::new("sh", "dash", "test").args(["-c", script]);
        if on_the_terminal {
            tool = tool.on_the_terminal();
        }
        let mut running = tool.start(Stdio::null(), Stdio::piped()).unwrap();
        let mut out = BufReader::new(running.take_stdout().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        stop_children();
        let mut rest = Vec::new();
        out.read_to_end(&mut rest).unwrap();
        let ToolError::Failed { status, .. } = running.wait().unwrap_err() else { panic!("it did not fail") };
        assert_eq!(status.signal(), Some(Signal::SIGTERM as i32));
        // Nobody is listed any more, so nobody is hit.
        stop_children();
    }
}
