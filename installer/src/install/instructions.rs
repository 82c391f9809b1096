//! Where instructions come from when nobody is there: a credential of systemd's (which a virtual machine's host can give by SMBIOS), the
//! kernel's command line, or a stick or second disk that is labelled for it. What they say is held to the same rules as every file.

mod volume;

use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cairn_machine::model::Install;
use cairn_machine::{SourceFile, check_install, is_install_file};
use cairn_make::plain_file::{self, TEXT};
use cairn_make::{MachineFile, machine_file};
use cairn_process::{Refusal, Tool};

use crate::disks::Device;

/// The credential's name (systemd.io/CREDENTIALS), and the word on the kernel's command line.
const NAME: &str = "cairn.install";
/// The longest file that is fetched.
const MOST_FETCHED: &str = "67108864";
/// The longest of what SMBIOS says, and the most entries that are looked at.
const MOST_SMBIOS: u64 = 1 << 20;
const MOST_ENTRIES: usize = 64;

/// Instructions: which machine, and how it is installed.
#[derive(Debug, Clone, PartialEq)]
pub struct Instructions {
    /// The machine file.
    pub machine: PathBuf,
    /// How.
    pub install: Option<Install>,
}

/// Reads instructions: a machine file that has some, or an install file that names one. What is fetched comes into `folder`.
///
/// # Errors
/// What is wrong with the files, and what fetching meets.
pub fn read(path: &Path, folder: &Path) -> anyhow::Result<Instructions> {
    let bytes = plain_file::read(path, TEXT);
    let Some(bytes) = bytes.ok().filter(|bytes| is_install_file(bytes)) else {
        let checked = MachineFile::from(path).load()?;
        return Ok(Instructions { machine: path.to_path_buf(), install: checked.machine.install });
    };
    let file = check_install(&SourceFile::new(path.display().to_string(), bytes))?;
    let machine = if is_url(&file.machine) {
        fetched(&file.machine, folder)?
    } else {
        path.parent().unwrap_or(Path::new("")).join(&file.machine)
    };
    Ok(Instructions { machine, install: Some(file.install) })
}

/// Looks for instructions in all places for them; puts what it finds into `folder` and gives the file to [`read`].
///
/// # Errors
/// A refusal where there are none, or where there are two volumes with some.
pub fn find(devices: &[Device], folder: &Path) -> anyhow::Result<PathBuf> {
    if let Some(bytes) = credential().or_else(smbios) {
        let path = folder.join("install.yaml");
        let text = String::from_utf8_lossy(&bytes).trim().to_string();
        if is_url(&text) && !text.contains('\n') {
            return fetched(&text, folder);
        }
        fs::write(&path, bytes).with_context(|| format!("writing {}", path.display()))?;
        return Ok(path);
    }
    if let Some(place) = command_line(&fs::read_to_string("/proc/cmdline").unwrap_or_default()) {
        return if is_url(&place) { fetched(&place, folder) } else { Ok(PathBuf::from(place)) };
    }
    match volume::copy(devices, folder)? {
        Some(path) => stays_inside(&path, folder).map(|()| path),
        None => Err(Refusal(format!(
            "there are no instructions: neither a credential {NAME}, nor {NAME}= on the kernel's command line, nor a file system with the \
             label {} and a file {} on it",
            volume::LABEL,
            volume::FILES.join(" or ")
        ))
        .into()),
    }
}

/// That what lies on a volume names nothing that does not: it may be anybody's, and the files of this system are not for it to read.
fn stays_inside(path: &Path, folder: &Path) -> anyhow::Result<()> {
    let inside = |name: &str| Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    let refuse = |name: &str| {
        Refusal(format!(
            "the instructions name {name}, which is not on the volume that they are on: nothing outside of it is read"
        ))
    };
    let bytes = plain_file::read(path, TEXT).with_context(|| format!("reading {}", path.display()))?;
    let mut path = path.to_path_buf();
    if is_install_file(&bytes) {
        let named = check_install(&SourceFile::new(path.display().to_string(), bytes))?.machine;
        if is_url(&named) {
            return Ok(());
        }
        if !inside(&named) {
            return Err(refuse(&named).into());
        }
        path = folder.join(named);
    }
    // What cannot be read is told when it is used. Before a hardware file is read its name is looked at.
    let file = MachineFile { hardware: Some(b"version: 1\n".to_vec()), ..MachineFile::from(path.as_path()) };
    let checked = file.load()?;
    let named = checked.named_files().into_iter().map(|named| named.path);
    match checked.machine.hardware.clone().into_iter().chain(named).find(|name| !inside(name)) {
        Some(name) => Err(refuse(&name).into()),
        None => Ok(()),
    }
}

fn credential() -> Option<Vec<u8>> {
    let own = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let folders = own.into_iter().chain(["/run/credentials/@system".into(), "/run/credstore".into()]);
    folders.into_iter().find_map(|folder: PathBuf| plain_file::read(&folder.join(NAME), TEXT).ok())
}

/// What the firmware's tables say (SMBIOS, type 11, "OEM strings"), where no systemd has turned that into a credential.
fn smbios() -> Option<Vec<u8>> {
    (0..MOST_ENTRIES).find_map(|number| {
        let path = format!("/sys/firmware/dmi/entries/11-{number}/raw");
        from_strings(&plain_file::read(Path::new(&path), MOST_SMBIOS).ok()?)
    })
}

/// The text behind the header (whose length is its second byte) is strings, each with a zero behind it.
fn from_strings(table: &[u8]) -> Option<Vec<u8>> {
    let strings = table.get(usize::from(*table.get(1)?)..)?.split(|byte| *byte == 0);
    strings.into_iter().find_map(|text| {
        let text = text.strip_prefix(b"io.systemd.credential")?;
        let value = |kind: &str| text.strip_prefix(format!("{kind}:{NAME}=").as_bytes());
        value("").map(<[u8]>::to_vec).or_else(|| STANDARD.decode(value(".binary")?).ok())
    })
}

fn command_line(text: &str) -> Option<String> {
    let value = |word: &str| Some(word.strip_prefix(NAME)?.strip_prefix('=')?.to_string());
    text.split_ascii_whitespace().filter_map(value).next_back().filter(|place| !place.is_empty())
}

fn is_url(text: &str) -> bool {
    text.starts_with("https://") || text.starts_with("http://")
}

/// Fetches a file, and the lock file beside it where there is one.
fn fetched(url: &str, folder: &Path) -> anyhow::Result<PathBuf> {
    let name = url.split(['?', '#']).next().and_then(|path| path.rsplit('/').next()).filter(|name| !name.is_empty());
    let path =
        folder.join(name.filter(|name| machine_file::is_machine_file(Path::new(name))).unwrap_or("machine.yaml"));
    let fetch = |url: &str, to: &Path| {
        Tool::new("curl", "curl", "fetch what the instructions name")
            .args([
                "--fail",
                "--silent",
                "--show-error",
                "--location",
                "--proto",
                "=https,http",
                "--max-filesize",
                MOST_FETCHED,
            ])
            .args(["--retry", "3", "--output"])
            .arg(to)
            .arg("--url")
            .arg(url)
            .run()
    };
    fetch(url, &path).with_context(|| format!("fetching {url}"))?;
    // Without a lock there is one to be made; who has one has it beside the file.
    if let Some(stem) = url.strip_suffix(".yaml").or_else(|| url.strip_suffix(".yml")) {
        let _ = fetch(&format!("{stem}.lock"), &machine_file::lock_path(&path));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_on_the_command_line_counts() {
        assert_eq!(command_line("root=x cairn.install=a cairn.install=/b.yaml quiet\n").as_deref(), Some("/b.yaml"));
        assert_eq!(command_line("cairn.installs=a cairn.install= x"), None);
    }

    #[test]
    fn the_firmware_s_strings_are_read_as_systemd_reads_them() {
        let table = |strings: &[&str]| {
            let mut bytes = vec![11, 5, 0, 0, 2];
            strings.iter().for_each(|text| bytes.extend(text.bytes().chain([0])));
            bytes.push(0);
            bytes
        };
        let found = from_strings(&table(&["other", "io.systemd.credential:cairn.install=version: 1"]));
        assert_eq!(found.as_deref(), Some(&b"version: 1"[..]));
        let found = from_strings(&table(&["io.systemd.credential.binary:cairn.install=aGVsbG8="]));
        assert_eq!(found.as_deref(), Some(&b"hello"[..]));
        for table in [table(&["io.systemd.credential:cairn.other=x"]), vec![], vec![11], vec![11, 200, 1]] {
            assert_eq!(from_strings(&table), None);
        }
    }

    #[test]
    fn what_is_on_a_volume_names_nothing_outside_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let judged = |install: &str, machine: &str| {
            put("install.yaml", install);
            put(
                "web.yaml",
                &format!(
                    "version: 1\nhostname: web\nsource: {{debian: {{}}}}\ndisks: {{main: {{layout: uefi}}}}\n{machine}"
                ),
            );
            stays_inside(&folder.path().join("install.yaml"), folder.path()).map_err(|error| error.to_string())
        };
        let install = |machine: &str| format!("version: 1\nmachine: {machine}\ninstall: {{disk: only}}\n");
        judged(&install("web.yaml"), "hardware: hardware.yaml\n").unwrap();
        judged(&install("https://example.org/web.yaml"), "").unwrap();
        assert!(judged(&install("install.yaml"), "").unwrap_err().contains("install.yaml"), "it names itself");
        for (install, machine, name) in [
            (install("/etc/web.yaml"), "", "/etc/web.yaml"),
            (install("../web.yaml"), "", "../web.yaml"),
            (install("web.yaml"), "hardware: /etc/shadow\n", "/etc/shadow"),
            (install("web.yaml"), "files: {/etc/x: {source: ../../etc/shadow}}\n", "../../etc/shadow"),
            (install("web.yaml"), "users: {a: {uid: 1000, hashed_password_file: /etc/shadow}}\n", "/etc/shadow"),
        ] {
            let said = judged(&install, machine).unwrap_err();
            assert!(said.contains(&format!("name {name}, which is not on the volume")), "{said}");
        }
    }

    #[test]
    fn an_install_file_names_its_machine_and_unknown_keys_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("install.yaml");
        std::fs::write(&path, "version: 1\nmachine: web.yaml\ninstall: {disk: only, then: reboot}\n").unwrap();
        let found = read(&path, folder.path()).unwrap();
        assert_eq!(found.machine, folder.path().join("web.yaml"));
        assert_eq!(found.install.unwrap().disk, "only");
        std::fs::write(&path, "version: 1\nmachine: web.yaml\ninstall: {disk: only, eraze: x}\n").unwrap();
        let said = read(&path, folder.path()).unwrap_err().to_string();
        assert!(said.contains("install.yaml:3") && said.contains("erase"), "{said}");
    }
}
