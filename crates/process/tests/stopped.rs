//! Stopping a child that the terminal, or somebody, has made to stand still: alone in its file, for it stops those of other
//! tests as well.

use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use cairn_process::{Tool, ToolError, stop_children};
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

#[test]
fn one_that_is_stopped_ends_as_well() {
    let running = Tool::new("sh", "dash", "test").args(["-c", "kill -STOP $$"]);
    let running = running.start(Stdio::null(), Stdio::null()).unwrap();
    let pid = Pid::from_raw(running.id().cast_signed());
    waitid(Id::Pid(pid), WaitPidFlag::WSTOPPED | WaitPidFlag::WNOWAIT).unwrap();
    stop_children();
    let ToolError::Failed { status, .. } = running.wait().unwrap_err() else { panic!("it did not fail") };
    assert_eq!(status.signal(), Some(Signal::SIGTERM as i32));
}
