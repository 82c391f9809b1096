//! Wireless networks while the questions are asked: which are heard, and, on the installation medium, whether the one that was chosen can be
//! joined. Elsewhere the network is somebody else's, and nothing of it is touched.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use cairn_installer::questions::Seen;
use cairn_installer::questions::network::{Heard, Joining, heard, joined, joining};
use cairn_process::{Tool, find, go_on};

/// There while this system runs from the medium.
const MEDIUM: &str = "/run/cairn/medium";
/// What the medium's service of each radio reads.
const CONF: &str = "/run/cairn/medium/wifi.conf";
/// So often it is looked at, and so long a radio, an access point and its DHCP may take.
const LOOKS: u32 = 40;
const BETWEEN: Duration = Duration::from_secs(1);

/// Whether a network can be joined here.
pub fn can_join() -> bool {
    Path::new(MEDIUM).exists() && ["wpa_supplicant", "wpa_cli"].iter().all(|program| find(program).is_some())
}

/// The networks that a radio hears; none where nobody can look.
pub fn listen(seen: &Seen) -> Vec<Heard> {
    let Some(radio) = seen.network.radios.first() else { return Vec::new() };
    let tool = |program: &'static str, package| Tool::new(program, package, "look for wireless networks");
    // One that is up already is no mistake, and one that is switched off says so when it listens.
    let _ = tool("ip", "iproute2").args(["link", "set", radio, "up"]).run();
    let said = tool("iw", "iw").args(["dev", radio, "scan"]).output().unwrap_or_default();
    heard(&String::from_utf8_lossy(&said))
}

/// Joins a network on the medium.
///
/// # Errors
/// The medium's services cannot be told; whoever ends the command.
pub fn join(seen: &Seen, name: &str, passphrase: Option<&str>) -> anyhow::Result<Joining> {
    let Some(radio) = seen.network.radios.first() else { return Ok(Joining::Not("there is no radio")) };
    let mut file = fs::OpenOptions::new();
    let file = file.write(true).create(true).truncate(true).mode(0o600).open(CONF);
    let written = file.and_then(|mut file| file.write_all(joining(name, passphrase).as_bytes()));
    written.with_context(|| format!("writing {CONF}"))?;
    let unit = format!("medium-wifi@{radio}.service");
    let tool = |program: &'static str, package| Tool::new(program, package, "join a wireless network");
    tool("systemctl", "systemd").args(["restart", &unit]).run().context("starting the medium's Wi-Fi")?;
    let mut last = Joining::Not("");
    for _ in 0..LOOKS {
        go_on()?;
        std::thread::sleep(BETWEEN);
        let said = |tool: Tool| String::from_utf8_lossy(&tool.output().unwrap_or_default()).into_owned();
        let status = said(tool("wpa_cli", "wpasupplicant").args(["-p", "/run/wpa_supplicant", "-i", radio, "status"]));
        let log = tool("journalctl", "systemd").args(["--unit", &unit, "--output=cat", "--no-pager"]);
        // Of the try before this one nothing counts.
        let log = said(log.arg("--invocation=0").arg("--quiet"));
        last = joined(&status, &log);
        match &last {
            Joining::Done(_) => break,
            Joining::Not(why) if why.contains("passphrase") => break,
            _ => {}
        }
    }
    Ok(last)
}
