//! What is read of a system that Cairn has not made: texts, links and names, all of them bounded, none of them judged. Everything comes
//! through [`Files`], so no link of a stranger's leads out of the tree.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use super::accounts::Account;
use crate::ObserveError;
use crate::view::{Files, Kind, ViewError};

/// A file of settings.
const MOST_TEXT: u64 = 1 << 20;
/// The book of installed packages; ten thousand of them take a tenth of it.
const MOST_STATUS: u64 = 128 << 20;
/// What is looked through of lists, line by line.
const MOST_LOOKED: u64 = 1 << 30;
/// Names in a folder of settings, and folders of packages.
const MOST_NAMES: usize = 1000;
const MOST_PACKAGES: usize = 50_000;
/// All that is kept of a tree.
const MOST_KEPT: usize = 256 << 20;
/// Homes in which keys are looked for.
const MOST_HOMES: usize = 1000;

/// The files that are looked at by name.
const TEXTS: [&str; 29] = [
    "/etc/os-release",
    "/usr/lib/os-release",
    "/etc/hostname",
    "/etc/timezone",
    "/etc/default/locale",
    "/etc/locale.conf",
    "/etc/default/keyboard",
    "/etc/vconsole.conf",
    "/etc/passwd",
    "/etc/group",
    "/etc/shadow",
    "/etc/fstab",
    "/etc/crypttab",
    "/etc/hosts",
    "/etc/resolv.conf",
    "/etc/network/interfaces",
    "/etc/sysctl.conf",
    "/etc/modules",
    "/etc/default/grub",
    "/etc/kernel/cmdline",
    "/run/current-system/kernel-params",
    "/etc/ssh/sshd_config",
    "/etc/apt/sources.list",
    "/var/lib/apt/extended_states",
    "/usr/lib/sysimage/libdnf5/packages.toml",
    "/etc/crontab",
    "/etc/sudoers",
    "/proc/swaps",
    "/etc/mdadm/mdadm.conf",
];

/// Folders, with the ending of the files in them that are read.
const FOLDERS: [(&str, &str); 17] = [
    ("/etc/systemd/network", ".network"),
    ("/etc/systemd/network", ".netdev"),
    ("/run/systemd/network", ".network"),
    ("/etc/NetworkManager/system-connections", ""),
    ("/etc/netplan", ".yaml"),
    ("/etc/network/interfaces.d", ""),
    ("/etc/sysconfig/network-scripts", ""),
    ("/etc/sysctl.d", ".conf"),
    ("/etc/modules-load.d", ".conf"),
    ("/etc/modprobe.d", ".conf"),
    ("/etc/ssh/sshd_config.d", ".conf"),
    ("/etc/ssh/authorized_keys.d", ""),
    ("/etc/sudoers.d", ""),
    ("/etc/apt/sources.list.d", ".list"),
    ("/etc/apt/sources.list.d", ".sources"),
    ("/etc/systemd/system", ""),
    ("/etc/nixos", ".nix"),
];

/// Things that are only looked for.
const PRESENT: [&str; 20] = [
    "/sys/firmware/efi",
    "/boot/efi",
    "/boot/EFI",
    "/efi/EFI",
    "/boot/loader",
    "/boot/grub/i386-pc",
    "/boot/grub2/i386-pc",
    "/nix/store",
    "/usr/lib/shim/shimx64.efi.signed",
    "/snap",
    "/var/lib/flatpak/app",
    "/var/lib/docker",
    "/var/lib/containers",
    "/etc/krb5.keytab",
    "/etc/wpa_supplicant/wpa_supplicant.conf",
    "/var/lib/iwd",
    "/etc/letsencrypt",
    "/etc/wireguard",
    "/etc/openvpn",
    "/etc/ssl/private",
];

/// Folders of which only the names count.
const NAMES: [&str; 10] = [
    "/opt",
    "/srv",
    "/usr/local/bin",
    "/usr/local/sbin",
    "/usr/local/lib",
    "/var/spool/cron/crontabs",
    "/var/spool/cron",
    "/etc/wireguard",
    "/snap",
    "/var/lib/flatpak/app",
];

/// What was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Contents by path.
    pub texts: BTreeMap<String, String>,
    /// Where links point, in their own words, by path.
    pub links: BTreeMap<String, String>,
    /// Names in folders.
    pub names: BTreeMap<String, Vec<String>>,
    /// What is there of the things that are only looked for.
    pub present: BTreeSet<String>,
    /// Which of Debian's packages has a unit, by the unit's name.
    pub unit_of: BTreeMap<String, String>,
    /// The names in the lists of Debian's archive; nothing where there are no lists.
    pub archive: Option<BTreeSet<String>>,
    /// What stands in pacman's book of each package.
    pub pacman: Vec<String>,
    /// Files that are there and could not be read, and why.
    pub unread: BTreeMap<String, String>,
    /// Whether it is the system that runs.
    pub running: bool,
    kept: usize,
}

impl Seen {
    /// Reads it.
    ///
    /// # Errors
    /// When there is more to read than any system has.
    pub fn of(files: &dyn Files, running: bool) -> Result<Seen, ObserveError> {
        let mut seen = Seen { running, ..Seen::default() };
        for path in TEXTS {
            if running || !path.starts_with("/proc") {
                seen.read(files, path, MOST_TEXT)?;
            }
        }
        for (folder, ending) in FOLDERS {
            seen.folder(files, folder, ending)?;
        }
        for path in PRESENT {
            if (running || !path.starts_with("/sys")) && matches!(files.kind(path), Ok(Some(_))) {
                seen.present.insert(path.into());
            }
        }
        for folder in NAMES {
            let names = listed(files, folder);
            if !names.is_empty() {
                seen.names.insert(folder.into(), names);
            }
        }
        for path in ["/etc/localtime", "/etc/resolv.conf", "/run/current-system", "/nix/var/nix/profiles/system"] {
            seen.link(files, path);
        }
        if let Some(link) = seen.links.get("/nix/var/nix/profiles/system").cloned() {
            seen.link(files, &format!("/nix/var/nix/profiles/{link}"));
        }
        seen.started(files)?;
        seen.keys(files)?;
        seen.packages(files)?;
        Ok(seen)
    }

    /// A text; nothing where there is none.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.texts.get(path).map(String::as_str)
    }

    /// The texts in a folder whose names end like this, by their paths.
    pub fn texts_in<'s>(&'s self, folder: &str, ending: &'s str) -> impl Iterator<Item = (&'s str, &'s str)> {
        let folder = format!("{folder}/");
        let all = self.texts.range(folder.clone()..);
        let own = move |path: &str| path.strip_prefix(folder.as_str()).is_some_and(|name| !name.contains('/'));
        let inside = all.take_while(|(path, _)| path.starts_with('/')).filter(move |(path, _)| own(path));
        inside.filter(move |(path, _)| path.ends_with(ending)).map(|(path, text)| (path.as_str(), text.as_str()))
    }

    fn read(&mut self, files: &dyn Files, path: &str, most: u64) -> Result<(), ObserveError> {
        let why = match files.read(path, most) {
            Ok(None) => return Ok(()),
            Ok(Some(bytes)) => match String::from_utf8(bytes) {
                Ok(text) => {
                    self.kept += text.len();
                    if self.kept > MOST_KEPT {
                        let why = format!("there is more in {} than any system has", files.shown("/etc").display());
                        return Err(ObserveError::Unfit(why));
                    }
                    self.texts.insert(path.into(), text);
                    return Ok(());
                }
                Err(_) => "it is not UTF-8".to_string(),
            },
            Err(ViewError::TooLarge { bytes, .. }) => {
                format!("it has {bytes} bytes, which is too large for what it is")
            }
            Err(ViewError::Io { source, .. }) => reason(&source),
            Err(other) => other.to_string(),
        };
        self.unread.insert(path.into(), why);
        Ok(())
    }

    fn folder(&mut self, files: &dyn Files, folder: &str, ending: &str) -> Result<(), ObserveError> {
        let names = match files.list(folder) {
            Ok(names) => names.unwrap_or_default(),
            Err(ViewError::Io { source, .. }) => {
                self.unread.insert(folder.into(), reason(&source));
                return Ok(());
            }
            Err(_) => return Ok(()),
        };
        for name in names.iter().filter(|name| name.ends_with(ending) && plain(name)).take(MOST_NAMES) {
            let path = format!("{folder}/{name}");
            self.link(files, &path);
            // What hides a unit leads to no file.
            if self.links.get(&path).is_some_and(|to| to == "/dev/null") {
                continue;
            }
            if matches!(files.kind(&path), Ok(Some(Kind::Folder) | None)) {
                continue;
            }
            self.read(files, &path, MOST_TEXT)?;
        }
        Ok(())
    }

    fn link(&mut self, files: &dyn Files, path: &str) {
        if let Ok(Some(to)) = files.link(path) {
            self.links.insert(path.into(), to);
        }
    }

    /// What is started: the links that `systemctl enable` makes.
    fn started(&mut self, files: &dyn Files) -> Result<(), ObserveError> {
        const UNITS: &str = "/etc/systemd/system";
        for folder in listed(files, UNITS).into_iter().filter(|name| plain(name)).take(MOST_NAMES) {
            if folder.ends_with(".wants") || folder.ends_with(".requires") {
                let units = listed(files, &format!("{UNITS}/{folder}"));
                for unit in units.into_iter().filter(|name| plain(name)).take(MOST_NAMES) {
                    self.link(files, &format!("{UNITS}/{folder}/{unit}"));
                }
            } else if folder.ends_with(".d") && self.texts.len() < MOST_PACKAGES {
                self.folder(files, &format!("{UNITS}/{folder}"), ".conf")?;
            }
        }
        Ok(())
    }

    /// SSH keys of people and of root, where their homes have them; that there are private ones, too.
    fn keys(&mut self, files: &dyn Files) -> Result<(), ObserveError> {
        let accounts = Account::all(self.text("/etc/passwd").unwrap_or_default());
        let homes = accounts.into_iter().filter(|one| one.uid == 0 || one.is_person()).map(|one| one.home);
        for home in homes.filter(|home| home.starts_with('/') && home.len() < 1024).take(MOST_HOMES) {
            let home = home.trim_end_matches('/').to_string();
            for name in ["authorized_keys", "authorized_keys2"] {
                self.read(files, &format!("{home}/.ssh/{name}"), MOST_TEXT)?;
            }
            for name in ["id_rsa", "id_ecdsa", "id_ed25519"] {
                let path = format!("{home}/.ssh/{name}");
                if matches!(files.kind(&path), Ok(Some(_))) {
                    self.present.insert(path);
                }
            }
        }
        for name in listed(files, "/etc/ssh") {
            if name.starts_with("ssh_host_") && name.ends_with("_key") {
                self.present.insert(format!("/etc/ssh/{name}"));
            }
        }
        Ok(())
    }

    fn packages(&mut self, files: &dyn Files) -> Result<(), ObserveError> {
        self.read(files, "/var/lib/dpkg/status", MOST_STATUS)?;
        if self.texts.contains_key("/var/lib/dpkg/status") {
            self.units(files);
            self.lists(files);
        }
        let pacman = "/var/lib/pacman/local";
        for name in listed(files, pacman).into_iter().filter(|name| plain(name)).take(MOST_PACKAGES) {
            let path = format!("{pacman}/{name}/desc");
            self.read(files, &path, MOST_TEXT)?;
            self.pacman.extend(self.texts.remove(&path));
        }
        for at in ["/run/current-system/sw/bin", "/nix/var/nix/profiles/system/sw/bin"] {
            for name in listed(files, at).into_iter().filter(|name| plain(name)).take(MOST_PACKAGES) {
                self.link(files, &format!("{at}/{name}"));
            }
        }
        Ok(())
    }

    /// dpkg's lists of files, of which only the lines with units are kept.
    fn units(&mut self, files: &dyn Files) {
        let info = "/var/lib/dpkg/info";
        let mut looked = 0;
        for name in listed(files, info).into_iter().filter(|name| name.ends_with(".list")).take(MOST_PACKAGES) {
            let package = name.trim_end_matches(".list").split(':').next().unwrap_or_default().to_string();
            let mut lines = Lines::new(|line: &str| {
                let unit = line.split_once("/systemd/system/").map(|(_, unit)| unit)?;
                (!unit.contains('/')).then(|| unit.to_string())
            });
            if files.copy(&format!("{info}/{name}"), MOST_STATUS, &mut lines).is_ok() {
                looked += lines.seen;
                self.unit_of.extend(lines.end().into_iter().map(|unit| (unit, package.clone())));
            }
            if looked > MOST_LOOKED {
                break;
            }
        }
    }

    /// apt's lists, where they are Debian's own and still there: the names in them.
    fn lists(&mut self, files: &dyn Files) {
        let folder = "/var/lib/apt/lists";
        let names = listed(files, folder);
        let releases = names.iter().filter(|name| name.ends_with("_InRelease") || name.ends_with("_Release"));
        let (mut archive, mut looked) = (BTreeSet::new(), 0);
        for release in releases.take(MOST_NAMES) {
            let text = files.read(&format!("{folder}/{release}"), MOST_STATUS).ok().flatten().unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            if !text.lines().take(40).any(|line| line == "Origin: Debian") {
                continue;
            }
            let stem = release.trim_end_matches("InRelease").trim_end_matches("Release");
            for list in names.iter().filter(|name| name.starts_with(stem) && name.ends_with("_Packages")) {
                let mut lines = Lines::new(|line: &str| line.strip_prefix("Package: ").map(str::to_string));
                if looked <= MOST_LOOKED && files.copy(&format!("{folder}/{list}"), MOST_STATUS, &mut lines).is_ok() {
                    looked += lines.seen;
                    archive.extend(lines.end());
                }
            }
        }
        if !archive.is_empty() {
            self.archive = Some(archive);
        }
    }
}

/// Whether a name is one that somebody could have typed.
fn plain(name: &str) -> bool {
    name.len() <= 255
        && !name.starts_with('.')
        && !name.contains(|c: char| c.is_control() || c == '/' || c == '\u{fffd}')
}

fn listed(files: &dyn Files, folder: &str) -> Vec<String> {
    files.list(folder).ok().flatten().unwrap_or_default()
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "only root may read it".into(),
        io::ErrorKind::InvalidInput => "it is no regular file".into(),
        _ => error.to_string(),
    }
}

/// Takes of a long text what lines give, a piece after the other.
struct Lines<F> {
    part: Vec<u8>,
    take: F,
    found: Vec<String>,
    seen: u64,
}

/// A line that is longer says nothing that is looked for.
const MOST_LINE: usize = 4096;

impl<F: Fn(&str) -> Option<String>> Lines<F> {
    fn new(take: F) -> Lines<F> {
        Lines { part: Vec::new(), take, found: Vec::new(), seen: 0 }
    }

    fn line(&mut self) {
        if self.part.len() <= MOST_LINE
            && let Ok(line) = std::str::from_utf8(&self.part)
        {
            self.found.extend((self.take)(line));
        }
        self.part.clear();
    }

    fn end(mut self) -> Vec<String> {
        self.line();
        self.found
    }
}

impl<F: Fn(&str) -> Option<String>> Write for Lines<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = piece.strip_suffix(b"\n").map_or((piece, false), |text| (text, true));
            if self.part.len() <= MOST_LINE {
                self.part.extend_from_slice(&text[..text.len().min(MOST_LINE + 1)]);
            }
            if ends {
                self.line();
            }
        }
        self.seen += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
