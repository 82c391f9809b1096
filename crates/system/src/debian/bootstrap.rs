//! One run of mmdebstrap: from a folder of packages to the tar stream of an installed tree.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Stdio;

use cairn_machine::lock::Lock;
use cairn_machine::model::Keyboard;
use cairn_process::{Report, Tool, ToolError};

use super::error::Error;
use super::repository::Repository;
use super::stanza::INITRD;
use super::unpack::{Stopped, Unpacked, unpack};
use crate::etc::{NEUTRAL_HOSTNAME, keymap};

const REASON: &str = "make a base of Debian packages";

/// Where mmdebstrap unpacks. The tree is large, and /tmp may be memory; an ordinary user's own folder would be closed to
/// the other user id.
const WORK: &str = "/var/tmp";

/// What the kernel, and apt, say of a full disk.
const NO_ROOM: [&str; 2] = ["No space left on device", "You don't have enough free space in"];

/// How much of what mmdebstrap said a message shows.
const LINES_SHOWN: usize = 30;

/// Installs the packages of a lock and writes what belongs into a base below `dir`.
///
/// The result must not depend on who runs it, where and when: the environment is our own, times are the lock's, and
/// an ordinary user gets the same owners through a user namespace.
pub(super) fn bootstrap(
    lock: &Lock,
    packages: &Repository,
    dir: &Path,
    report: &dyn Report,
) -> Result<Unpacked, Error> {
    let debian = lock.debian();
    let include: Vec<&str> = debian.packages.iter().map(|p| p.name.as_str()).chain([INITRD]).collect();
    // In a file: mmdebstrap's message about a script that fails has all of its command in it.
    let names = packages.script("essential", &(neutral_names() + &answers(&debian.debconf)))?;
    let script = packages.script("customize", &last())?;
    let mode = mode()?;
    let tool = program(mode)?
        .arg(format!("--mode={mode}"))
        .arg("--variant=essential")
        .arg("--format=tar")
        .arg(format!("--architectures={}", debian.architecture))
        .arg(format!("--include={}", include.join(",")))
        .arg(format!("--essential-hook=sh {} \"$1\"", quoted(&names.to_string_lossy())))
        .arg(format!("--customize-hook=sh {} \"$1\"", quoted(&script.to_string_lossy())))
        // Nothing is lost in a crash but a temporary folder.
        .arg("--dpkgopt=force-unsafe-io")
        .arg(&debian.suite)
        .arg("-")
        .arg(packages.source_line())
        .clean_env()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", "/root")
        .env("TMPDIR", WORK)
        .env("SOURCE_DATE_EPOCH", debian.date.to_string())
        // An ordinary user's mmdebstrap changes to another user id, who may not look into our folder.
        .dir("/");
    report.phase("installing packages", None);
    let mut running = tool.start(Stdio::null(), Stdio::piped())?;
    let unpacked = match running.take_stdout() {
        Some(mut pipe) => {
            let unpacked = unpack(&mut pipe, dir);
            // mmdebstrap has a tree to remove even if all is lost, which an ordinary user could not remove for it: so its
            // pipe stays open. A closed one makes it send SIGHUP to all of its process group, `unshare` among them.
            let _ = io::copy(&mut pipe, &mut io::sink());
            unpacked
        }
        None => Err(Stopped::Stream(io::ErrorKind::BrokenPipe.into())),
    };
    let ended = running.wait();
    match (unpacked, ended) {
        (Ok(unpacked), Ok(())) => unpacked.check(dir).map(|()| unpacked),
        (Err(Stopped::Here(error)), _) => Err(error),
        (_, Err(error)) => Err(explain(error)),
        (Err(Stopped::Stream(error)), Ok(())) => Err(Error::Tree { what: format!("reading the tar stream: {error}") }),
    }
}

/// mmdebstrap; root's in namespaces of its own. What root's mmdebstrap mounts would stay mounted on this computer if it
/// were killed; so it goes with the namespace, and so do the processes. (An ordinary user's makes its own.) The host name
/// that is set in there is not this computer's either.
fn program(mode: &str) -> Result<Tool, ToolError> {
    let mmdebstrap = Tool::new("mmdebstrap", "mmdebstrap", REASON);
    if mode != "root" {
        return Ok(mmdebstrap.tied_to_us("TERM").cleans_up());
    }
    let unshare = Tool::new("unshare", "util-linux", "keep mmdebstrap's mounts away from this computer's")
        .args(["--mount", "--pid", "--uts", "--fork", "--mount-proc", "--kill-child"])
        .arg(mmdebstrap.check()?)
        // It waits for its child whatever else is sent.
        .tied_to_us("KILL")
        .cleans_up();
    unshare.check()?;
    Ok(unshare)
}

/// The shell script for mmdebstrap's essential hook, which runs before any of the machine's packages is configured: their
/// maintainer scripts write the host name into their settings, and mmdebstrap brings this computer's.
fn neutral_names() -> String {
    format!(
        "set -e\n\
         chroot \"$1\" hostname {NEUTRAL_HOSTNAME}\n\
         echo {NEUTRAL_HOSTNAME} > \"$1/etc/hostname\"\n\
         printf '127.0.0.1 localhost\\n127.0.1.1 {NEUTRAL_HOSTNAME}\\n::1 localhost\\n' > \"$1/etc/hosts\"\n\
         if [ -f \"$1/etc/resolv.conf\" ]; then sed -i '/^[[:space:]]*nameserver/!d' \"$1/etc/resolv.conf\"; fi\n"
    )
}

/// What of that script answers the packages' questions before they are asked.
fn answers(lines: &[String]) -> String {
    lines.iter().fold(String::new(), |script, line| {
        // An answer that debconf refuses ends in its message.
        script + &format!("printf '%s\\n' {} | chroot \"$1\" debconf-set-selections\n", quoted(line))
    })
}

/// The shell script for mmdebstrap's customize hook, which runs when all is installed. Nothing of one machine is in it: what a
/// machine's settings need beyond the packages is made with its system. (keyboard-configuration looks whether this computer has a
/// keyboard, so what it has chosen is replaced.)
fn last() -> String {
    let keyboard = quoted(&keymap::settings(&Keyboard::default()));
    // Packages ask for their own users as they are configured; the first line catches those that leave it to the boot.
    format!(
        "set -e\n\
         if [ -x \"$1/usr/bin/systemd-sysusers\" ]; then chroot \"$1\" systemd-sysusers; fi\n\
         if [ -x \"$1/usr/bin/systemd-hwdb\" ]; then chroot \"$1\" systemd-hwdb --usr update; fi\n\
         if [ -x \"$1/usr/bin/journalctl\" ]; then chroot \"$1\" journalctl --update-catalog; fi\n\
         if [ -x \"$1/usr/bin/setupcon\" ]; then\n\
         printf %s {keyboard} > \"$1/etc/default/keyboard\"\n\
         chroot \"$1\" setupcon --save-only </dev/null\n\
         fi\n\
         chroot \"$1\" ldconfig\n"
    )
}

/// As one word for a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn explain(error: ToolError) -> Error {
    let ToolError::Failed { stderr, .. } = error else { return error.into() };
    if NO_ROOM.iter().any(|words| stderr.contains(words)) {
        return Error::NoRoom { folder: WORK };
    }
    // The command names every package, twice; what matters is before and after those lines.
    let said: Vec<String> = stderr.lines().map(|line| shortened(line, 240)).collect();
    Error::Bootstrap { said: said[said.len().saturating_sub(LINES_SHOWN)..].join("\n") }
}

fn shortened(line: &str, most: usize) -> String {
    match line.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line.into(),
    }
}

/// `root`, or `unshare` for an ordinary user, if this machine lets him.
fn mode() -> Result<&'static str, Error> {
    let user = fs::metadata("/proc/self").map_err(Error::io("reading", "/proc/self"))?.uid();
    if user == 0 {
        return Ok("root");
    }
    Tool::new("newuidmap", "uidmap", "install packages without being root").check()?;
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = user_name(&passwd, user);
    for file in ["/etc/subuid", "/etc/subgid"] {
        let ranges = fs::read_to_string(file).unwrap_or_default();
        if !has_range(&ranges, &name, user) {
            return Err(Error::NoSubordinateIds { user: name, file });
        }
    }
    Ok("unshare")
}

fn user_name(passwd: &str, user: u32) -> String {
    let id = user.to_string();
    let line = passwd.lines().find(|l| l.split(':').nth(2) == Some(&id));
    line.and_then(|l| l.split(':').next()).map_or(id.clone(), ToString::to_string)
}

fn has_range(ranges: &str, name: &str, user: u32) -> bool {
    ranges.lines().filter_map(|l| l.split(':').next()).any(|who| who == name || who == user.to_string())
}

/// Says early that a program is missing.
pub(super) fn check_tools() -> Result<(), Error> {
    program(mode()?)?.check()?;
    Tool::new("dpkg-deb", "dpkg", "read what is in a package").check()?;
    Tool::new("/usr/lib/apt/apt-helper", "apt", "download packages").check()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_ids_is_found_by_name_or_number() {
        assert!(has_range("other:1:2\nme:100000:65536\n", "me", 1000));
        assert!(has_range("1000:100000:65536\n", "me", 1000));
        assert!(!has_range("me2:100000:65536\n", "me", 1000));
        assert_eq!(user_name("root:x:0:0::/root:/bin/sh\nme:x:1000:1000::/home/me:/bin/sh\n", 1000), "me");
        assert_eq!(user_name("", 1000), "1000");
    }
}
