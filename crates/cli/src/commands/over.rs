//! `cairn install --over ssh HOST`: the same questions, asked on another computer, at this terminal.

use std::process::Stdio;

use anyhow::Context;
use cairn_process::{Tool, Usage};

use crate::exit::Exit;
use crate::ui::Ui;

/// A login shell's, since that is where the medium says where its systems are.
const THERE: &str = "exec sh -lc 'exec cairn install'";

/// Runs it there, until it ends there.
pub fn run(words: &[String], ui: &Ui) -> anyhow::Result<Exit> {
    let [way, host] = words else { return Err(Usage("say --over ssh HOST".into()).into()) };
    if way != "ssh" {
        return Err(Usage(format!("the only way to another computer is ssh, and not `{way}`: --over ssh root@HOST")).into());
    }
    // It would be an option of ssh's.
    if host.is_empty() || host.starts_with('-') {
        return Err(Usage(format!("`{host}` is no computer: --over ssh root@HOST")).into());
    }
    if !ui.can_ask() {
        return Err(Usage("the questions are asked at a terminal, and this is none".into()).into());
    }
    let tool = Tool::new("ssh", "openssh-client", "reach the other computer").args(["-t", "--", host, THERE]);
    let ssh = tool.on_the_terminal().start(Stdio::inherit(), Stdio::inherit())?;
    ssh.wait().with_context(|| format!("installing on {host}"))?;
    Ok(Exit::Done)
}
