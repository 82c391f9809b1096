//! The files that a machine file names, and those that a system keeps of what it was made from.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use cairn_machine::lock::Lock;
use cairn_machine::model::wifi_secret;
use cairn_machine::names::shown;
use cairn_machine::{Checked, FilePurpose, Problem, Problems, device_tree, password_hash, wifi_passphrase};

use crate::machine_file::MachineFile;
use crate::plain_file;

/// The hashes of first passwords by user: what else than the store goes onto a new disk.
pub type Passwords = BTreeMap<String, String>;

/// Passphrases of wireless networks, by [`wifi_secret`], each as a line of wpa_supplicant.conf(5): they go onto a new disk too.
pub type Passphrases = BTreeMap<String, String>;

/// How [`NamedFiles::read`] asks whether the machine has the passphrase of a network already: no account is called so.
pub fn wifi_name(ssid: &str) -> String {
    format!("wifi/{}", wifi_secret(ssid))
}

/// The named files, read.
#[derive(Debug, Default)]
pub struct NamedFiles {
    /// By the name in the machine file.
    pub contents: BTreeMap<String, Vec<u8>>,
    /// Contents of files under /etc, by their path there.
    pub sources: BTreeMap<String, Vec<u8>>,
    /// Hashes of first passwords, by user.
    pub passwords: Passwords,
    /// Passphrases of wireless networks.
    pub passphrases: Passphrases,
}

impl NamedFiles {
    /// Reads them all; every one that cannot be read or used is a problem with its place. A hash of the first password of
    /// an account that is there (`exists`) is not missed, nor is a passphrase that the machine has ([`wifi_name`]).
    ///
    /// # Errors
    /// These problems, all of them.
    pub fn read(machine_file: &Path, checked: &Checked, exists: &dyn Fn(&str) -> bool) -> anyhow::Result<NamedFiles> {
        let folder = machine_file.parent().unwrap_or(Path::new(""));
        let mut files = NamedFiles::default();
        let mut problems: Vec<Problem> = Vec::new();
        for named in checked.named_files() {
            let most = match named.purpose {
                FilePurpose::PasswordHash(_) | FilePurpose::WifiPassphrase(_) => plain_file::HASH,
                FilePurpose::DeviceTree => plain_file::TEXT,
                FilePurpose::BootFile(_) => plain_file::BOOT_FILE,
                _ => plain_file::SOURCE,
            };
            let bytes = match plain_file::read(&folder.join(&named.path), most) {
                Ok(bytes) => bytes,
                Err(e) if e.is_missing() && is_history(&named.purpose, exists) => continue,
                Err(e) => {
                    let message = format!("reading {}: {e}", shown(&named.path));
                    problems.push(checked.problem(&named.pointer, message, None));
                    continue;
                }
            };
            match named.purpose {
                FilePurpose::EtcFile(path) => {
                    files.contents.insert(named.path, bytes.clone());
                    files.sources.insert(path, bytes);
                }
                FilePurpose::PasswordHash(user) => match password_hash(&bytes) {
                    Ok(hash) => {
                        files.passwords.insert(user, hash.to_string());
                    }
                    Err(e) => {
                        problems.push(checked.problem(&named.pointer, format!("{}: {e}", shown(&named.path)), None))
                    }
                },
                FilePurpose::WifiPassphrase(name) => match wifi_passphrase(&bytes) {
                    Ok(passphrase) => {
                        files.passphrases.insert(wifi_secret(&name), wifi_line(passphrase));
                    }
                    Err(e) => {
                        problems.push(checked.problem(&named.pointer, format!("{}: {e}", shown(&named.path)), None))
                    }
                },
                FilePurpose::DeviceTree => match device_tree(&bytes) {
                    Ok(()) => drop(files.contents.insert(named.path, bytes)),
                    Err(e) => {
                        problems.push(checked.problem(&named.pointer, format!("{}: {e}", shown(&named.path)), None))
                    }
                },
                FilePurpose::BootFile(_) => {
                    files.contents.insert(named.path, bytes);
                }
                _ => {}
            }
        }
        match Problems::new(problems) {
            Some(problems) => Err(problems.into()),
            None => Ok(files),
        }
    }
}

fn is_history(purpose: &FilePurpose, exists: &dyn Fn(&str) -> bool) -> bool {
    match purpose {
        FilePurpose::PasswordHash(user) => exists(user),
        FilePurpose::WifiPassphrase(name) => exists(&wifi_name(name)),
        _ => false,
    }
}

/// A key stands without quotes; of a passphrase the last quote ends it, whatever is in it.
fn wifi_line(passphrase: &str) -> String {
    if passphrase.len() == 64 { format!("psk={passphrase}") } else { format!("psk=\"{passphrase}\"") }
}

/// What the system keeps of what it was made from, by the names that it gets there.
///
/// # Errors
/// What reading meets.
pub fn made_from(
    file: &MachineFile,
    checked: &Checked,
    lock: &Lock,
) -> anyhow::Result<BTreeMap<&'static str, Vec<u8>>> {
    let text = file.text().with_context(|| format!("reading {}", file.path.display()))?;
    let mut files = BTreeMap::from([("machine.yaml", text)]);
    if let Some(hardware) = &checked.machine.hardware {
        files.insert("hardware.yaml", file.hardware(hardware).with_context(|| format!("reading {hardware}"))?);
    }
    // As cairn writes it, so that a comment in the lock file makes no other system.
    files.insert("machine.lock", lock.to_yaml().into_bytes());
    Ok(files)
}
