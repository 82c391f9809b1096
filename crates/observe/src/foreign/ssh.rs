//! Settings of the SSH server: those that somebody has made, in a file of their own, which Debian's reads before its own.

use cairn_machine::model::EtcFile;

use super::Carried;
use super::seen::Seen;

/// What is Debian's own setting, or has a place of that system in it.
const USUAL: [&str; 9] = [
    "include",
    "hostkey",
    "subsystem",
    "usepam",
    "printmotd",
    "acceptenv",
    "authorizedkeyscommand",
    "authorizedkeyscommanduser",
    "pidfile",
];

/// Carries them over.
pub fn carry(seen: &Seen, to: &mut Carried) {
    let main = seen.text("/etc/ssh/sshd_config").map(|text| ("/etc/ssh/sshd_config", text));
    let mut text = String::new();
    // The first word about something counts, and the folder is read first.
    for (path, file) in seen.texts_in("/etc/ssh/sshd_config.d", ".conf").chain(main) {
        let mut matched = false;
        for line in file.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let key = line.split([' ', '\t', '=']).next().unwrap_or_default().to_ascii_lowercase();
            if line.contains("/nix/store/") || USUAL.contains(&key.as_str()) && !matched {
                continue;
            }
            if line.contains(char::is_control) {
                to.left("SSH", format!("{path}: a line with control characters in it"));
                continue;
            }
            matched |= key == "match";
            text += &format!("{line}\n");
        }
        if matched {
            text += "Match all\n";
        }
    }
    for (path, why) in seen.unread.iter().filter(|(path, _)| path.starts_with("/etc/ssh/sshd_config")) {
        to.left("SSH", format!("{path}: {why}"));
    }
    if text.is_empty() {
        return;
    }
    if !to.has_package("openssh-server") {
        return to.left("SSH", "the server's settings: openssh-server is not among the packages");
    }
    let file = EtcFile { text: Some(text), ..EtcFile::default() };
    to.machine.files.insert("/etc/ssh/sshd_config.d/10-captured.conf".into(), file);
}
