//! The files that a machine file names, and those that a system keeps of what it was made from.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use cairn_machine::lock::Lock;
use cairn_machine::model::wifi_secret;
use cairn_machine::names::shown;
use cairn_machine::{Checked, FilePurpose, NamedFile, Problem, Problems, device_tree, password_hash, wifi_passphrase};

use crate::machine_file::MachineFile;
use crate::plain_file::{self, Unread};

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
    pub fn read(machine_file: &Path, checked: &Checked, exists: &dyn Fn(&str) -> bool) -> Result<NamedFiles, Problems> {
        let folder = machine_file.parent().unwrap_or(Path::new(""));
        let mut files = NamedFiles::default();
        let mut problems: Vec<Problem> = Vec::new();
        for named in checked.named_files() {
            let bytes = match plain_file::read(&folder.join(&named.path), most(&named.purpose)) {
                Ok(bytes) => bytes,
                Err(e) if e.is_missing() && is_history(&named.purpose, exists) => continue,
                Err(e) => {
                    problems.push(unread(checked, &named, &e));
                    continue;
                }
            };
            if let Err(why) = files.take(&named, bytes) {
                problems.push(unusable(checked, &named, &why));
            }
        }
        match Problems::new(problems) {
            Some(problems) => Err(problems),
            None => Ok(files),
        }
    }

    /// Keeps one of them, if it is what it has to be.
    fn take(&mut self, named: &NamedFile, bytes: Vec<u8>) -> Result<(), String> {
        match &named.purpose {
            FilePurpose::EtcFile(path) => {
                self.contents.insert(named.path.clone(), bytes.clone());
                self.sources.insert(path.clone(), bytes);
            }
            FilePurpose::PasswordHash(user) => {
                let hash = password_hash(&bytes).map_err(|e| e.to_string())?;
                self.passwords.insert(user.clone(), hash.to_string());
            }
            FilePurpose::WifiPassphrase(name) => {
                let passphrase = wifi_passphrase(&bytes).map_err(|e| e.to_string())?;
                self.passphrases.insert(wifi_secret(name), wifi_line(passphrase));
            }
            FilePurpose::DeviceTree => {
                device_tree(&bytes).map_err(|e| e.to_string())?;
                self.contents.insert(named.path.clone(), bytes);
            }
            FilePurpose::BootFile(_) => drop(self.contents.insert(named.path.clone(), bytes)),
            _ => {}
        }
        Ok(())
    }
}

/// Every named file that could not be read or used, as [`NamedFiles::read`] would tell it. Of long ones nothing is read but
/// how long they are.
pub fn look(machine_file: &Path, checked: &Checked, exists: &dyn Fn(&str) -> bool) -> Vec<Problem> {
    let folder = machine_file.parent().unwrap_or(Path::new(""));
    let one = |named: NamedFile| {
        let (path, most) = (folder.join(&named.path), most(&named.purpose));
        let is_plain = matches!(named.purpose, FilePurpose::EtcFile(_) | FilePurpose::BootFile(_));
        let read = match is_plain {
            true => plain_file::look(&path, most).map(|()| Vec::new()),
            false => plain_file::read(&path, most),
        };
        match read {
            Ok(bytes) if !is_plain => {
                let taken = NamedFiles::default().take(&named, bytes);
                taken.err().map(|why| unusable(checked, &named, &why))
            }
            Ok(_) => None,
            Err(e) if e.is_missing() && is_history(&named.purpose, exists) => None,
            Err(e) => Some(unread(checked, &named, &e)),
        }
    };
    checked.named_files().into_iter().filter_map(one).collect()
}

/// The longest file of a kind.
fn most(purpose: &FilePurpose) -> u64 {
    match purpose {
        FilePurpose::PasswordHash(_) | FilePurpose::WifiPassphrase(_) => plain_file::HASH,
        FilePurpose::DeviceTree => plain_file::TEXT,
        FilePurpose::BootFile(_) => plain_file::BOOT_FILE,
        _ => plain_file::SOURCE,
    }
}

fn unread(checked: &Checked, named: &NamedFile, why: &Unread) -> Problem {
    checked.problem(&named.pointer, format!("reading {}: {why}", shown(&named.path)), None)
}

fn unusable(checked: &Checked, named: &NamedFile, why: &str) -> Problem {
    checked.problem(&named.pointer, format!("{}: {why}", shown(&named.path)), None)
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
