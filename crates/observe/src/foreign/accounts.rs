//! People, their groups, shells, SSH keys and passwords.

use std::collections::BTreeMap;

use cairn_machine::model::{Group, User};
use cairn_machine::password_hash;

use super::Carried;
use super::seen::Seen;

/// A line of passwd(5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The login name.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// The number of its group.
    pub gid: u32,
    /// Who it is.
    pub description: String,
    /// Its home.
    pub home: String,
    /// Its shell.
    pub shell: String,
}

/// Thousands of accounts are somebody's directory, which is no file.
const MOST: usize = 1000;
/// Keys of one person.
const MOST_KEYS: usize = 100;
/// Lines of a book of accounts.
const MOST_LINES: usize = 20_000;
/// Groups of one person.
const MOST_GROUPS: usize = 256;
/// Groups that Debian's base and systemd have.
const KNOWN: [&str; 37] = [
    "adm",
    "audio",
    "backup",
    "cdrom",
    "dialout",
    "dip",
    "disk",
    "fax",
    "floppy",
    "games",
    "input",
    "irc",
    "kmem",
    "kvm",
    "list",
    "lp",
    "mail",
    "man",
    "news",
    "operator",
    "plugdev",
    "proxy",
    "render",
    "sasl",
    "shadow",
    "src",
    "staff",
    "sudo",
    "systemd-journal",
    "tape",
    "tty",
    "users",
    "uucp",
    "video",
    "voice",
    "www-data",
    "root",
];
/// Shells by the last part of their path, with what Debian has, and the package that it takes.
const SHELLS: [(&str, &str, Option<&str>); 9] = [
    ("bash", "/bin/bash", None),
    ("sh", "/bin/sh", None),
    ("dash", "/bin/dash", None),
    ("zsh", "/usr/bin/zsh", Some("zsh")),
    ("fish", "/usr/bin/fish", Some("fish")),
    ("ksh", "/usr/bin/ksh", Some("ksh")),
    ("tcsh", "/usr/bin/tcsh", Some("tcsh")),
    ("nologin", "/usr/sbin/nologin", None),
    ("false", "/usr/sbin/nologin", None),
];

impl Account {
    /// Those of a text; a line that is none is passed over.
    pub fn all(passwd: &str) -> Vec<Account> {
        let account = |line: &str| {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, uid, gid, description, home, shell] = fields[..] else { return None };
            let text = str::to_string;
            let (uid, gid) = (uid.parse().ok()?, gid.parse().ok()?);
            let (description, home, shell) = (text(description), text(home), text(shell.trim_end()));
            Some(Account { name: text(name), uid, gid, description, home, shell })
        };
        passwd.lines().take(MOST_LINES).filter_map(account).collect()
    }

    /// Whether somebody is behind it.
    pub fn is_person(&self) -> bool {
        (1000..=59_999).contains(&self.uid)
    }

    fn logs_in(&self) -> bool {
        !self.shell.ends_with("nologin") && !self.shell.ends_with("false") && !self.shell.is_empty()
    }
}

/// Whether a name is one that a machine file has for an account.
fn is_name(name: &str) -> bool {
    name.len() <= 32
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b))
}

/// Carries them over.
pub fn carry(seen: &Seen, to: &mut Carried) {
    let accounts = Account::all(seen.text("/etc/passwd").unwrap_or_default());
    let groups = Groups::of(seen.text("/etc/group").unwrap_or_default());
    let people: Vec<&Account> = accounts.iter().filter(|one| one.is_person() && one.name != "nobody").collect();
    if people.len() > MOST {
        to.left(
            "accounts",
            format!("there are {} people, and only the first {MOST} are in the machine file", people.len()),
        );
    }
    let hashes = Hashes::of(seen);
    if let Some(why) = seen.unread.get("/etc/shadow") {
        to.left("passwords", format!("/etc/shadow: {why}"));
    }
    for account in people.into_iter().take(MOST) {
        person(account, &groups, seen, &hashes, to);
    }
    for account in accounts.iter().filter(|one| one.uid == 0) {
        if account.name == "root" {
            let user = User { ssh_authorized_keys: keys(account, seen, to), ..User::default() };
            let user = password(account, user, &hashes, to);
            if user != User::default() {
                to.machine.users.insert("root".into(), user);
            }
        } else {
            to.left("accounts", format!("{} is another name of root", account.name));
        }
    }
    // Packages make those that Debian has.
    let own =
        accounts.iter().filter(|one| (100..1000).contains(&one.uid) && one.logs_in() && one.home.starts_with("/home/"));
    for account in own {
        to.left(
            "accounts",
            format!("{} ({}) is a system account with a home in {}", account.name, account.uid, account.home),
        );
    }
    let beyond = accounts.iter().filter(|one| one.uid > 59_999 && one.logs_in() && one.name != "nobody");
    for account in beyond {
        to.left("accounts", format!("{} has the number {}, which is not one of a person", account.name, account.uid));
    }
}

fn person(account: &Account, groups: &Groups<'_>, seen: &Seen, hashes: &Hashes<'_>, to: &mut Carried) {
    if !is_name(&account.name) {
        let what = format!("an account with the number {} has a name that a machine file does not allow", account.uid);
        return to.left("accounts", what);
    }
    let mut user = User { uid: Some(account.uid), ..User::default() };
    let name = account.description.split(',').next().unwrap_or_default().trim();
    if !name.is_empty() && !name.contains(char::is_control) {
        user.description = Some(name.to_string());
    }
    if account.home != format!("/home/{}", account.name) && !account.home.is_empty() {
        user.home = Some(account.home.clone());
    }
    user.shell = shell(account, to);
    user.group = primary(account, groups, to);
    for group in groups.with(&account.name).take(MOST_GROUPS) {
        let group = if group == "wheel" { "sudo" } else { group };
        if user.groups.iter().any(|other| other == group)
            || Some(group) == user.group.as_deref()
            || group == account.name
        {
            continue;
        }
        match groups.gid(group) {
            _ if KNOWN.contains(&group) => {}
            // A package of the same name may make it; if not, this does.
            Some(gid) if is_name(group) => declare(group, gid, to),
            _ => {
                to.left("accounts", format!("{} is in a group that a machine file cannot name", account.name));
                continue;
            }
        }
        if group == "sudo" {
            to.package("sudo");
        }
        user.groups.push(group.to_string());
    }
    user.ssh_authorized_keys = keys(account, seen, to);
    let user = password(account, user, hashes, to);
    to.machine.users.insert(account.name.clone(), user);
}

/// The group that new files of the account get, where it is not one of its own name and number.
fn primary(account: &Account, groups: &Groups<'_>, to: &mut Carried) -> Option<String> {
    let name = groups.name(account.gid)?;
    if name == account.name {
        if account.gid != account.uid {
            declare(name, account.gid, to);
        }
        return None;
    }
    if !KNOWN.contains(&name) {
        if !is_name(name) {
            return None;
        }
        declare(name, account.gid, to);
    }
    Some(name.to_string())
}

/// A group in the machine file: one of people with its number, one of the system's with whatever number is free.
fn declare(name: &str, gid: u32, to: &mut Carried) {
    let group = if (1000..=59_999).contains(&gid) {
        Group { gid: Some(gid), system: false }
    } else {
        Group { gid: None, system: true }
    };
    to.machine.groups.entry(name.to_string()).or_insert(group);
}

fn shell(account: &Account, to: &mut Carried) -> Option<String> {
    let last = account.shell.rsplit('/').next().unwrap_or_default();
    match SHELLS.iter().find(|(name, _, _)| *name == last) {
        Some((_, "/bin/bash", _)) => None,
        Some((_, path, package)) => {
            if let Some(package) = package {
                to.package(package);
            }
            Some((*path).to_string())
        }
        None if account.shell.is_empty() => None,
        None => {
            to.left("accounts", format!("{} has the shell {}, and gets bash", account.name, account.shell));
            None
        }
    }
}

/// Public keys; lines that are none are only counted, since the file may be a link to one that nobody is to see.
fn keys(account: &Account, seen: &Seen, to: &mut Carried) -> Vec<String> {
    let home = account.home.trim_end_matches('/');
    let places = [
        format!("{home}/.ssh/authorized_keys"),
        format!("{home}/.ssh/authorized_keys2"),
        format!("/etc/ssh/authorized_keys.d/{}", account.name),
    ];
    let (mut keys, mut others) = (Vec::new(), 0);
    for path in places {
        if let Some(why) = seen.unread.get(&path) {
            to.left("SSH keys", format!("{path}: {why}"));
        }
        let lines = seen.text(&path).unwrap_or_default().lines().map(str::trim);
        for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let is_key =
                line.len() <= 16 << 10 && line.split(' ').any(|word| word.contains("ssh-") || word.contains("ecdsa-"));
            if !is_key || keys.len() == MOST_KEYS {
                others += 1;
            } else if !keys.iter().any(|key| key == line) {
                keys.push(line.to_string());
            }
        }
    }
    if others > 0 {
        to.left("SSH keys", format!("{others} lines of the keys of {} are none, or too many", account.name));
    }
    keys
}

fn password(account: &Account, mut user: User, hashes: &Hashes<'_>, to: &mut Carried) -> User {
    let Some(hash) = hashes.0.get(account.name.as_str()) else { return user };
    // Locked, or never set.
    if hash.is_empty() || hash.starts_with(['!', '*']) {
        if hash.is_empty() {
            to.left(
                "passwords",
                format!("{} logs in without a password, which a machine of Cairn's does not allow", account.name),
            );
        }
        return user;
    }
    match password_hash(hash.as_bytes()) {
        Ok(hash) => {
            let file = format!("{}.password", account.name);
            to.secret(&file, format!("{hash}\n").into_bytes());
            user.hashed_password_file = Some(file);
        }
        Err(why) => to.left("passwords", format!("{}: {why}", account.name)),
    }
    user
}

/// Hashes by name.
struct Hashes<'s>(BTreeMap<&'s str, &'s str>);

impl<'s> Hashes<'s> {
    fn of(seen: &'s Seen) -> Hashes<'s> {
        let lines = seen.text("/etc/shadow").unwrap_or_default().lines();
        Hashes(
            lines
                .filter_map(|line| line.split_once(':'))
                .map(|(name, rest)| (name, rest.split(':').next().unwrap_or_default()))
                .collect(),
        )
    }
}

/// Lines of group(5).
struct Groups<'s>(Vec<(&'s str, u32, Vec<&'s str>)>);

impl<'s> Groups<'s> {
    fn of(text: &'s str) -> Groups<'s> {
        let group = |line: &'s str| {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, gid, members] = fields[..] else { return None };
            Some((name, gid.parse().ok()?, members.trim().split(',').filter(|one| !one.is_empty()).collect()))
        };
        Groups(text.lines().take(MOST_LINES).filter_map(group).collect())
    }

    fn gid(&self, name: &str) -> Option<u32> {
        self.0.iter().find(|(one, _, _)| *one == name).map(|(_, gid, _)| *gid)
    }

    fn name(&self, gid: u32) -> Option<&'s str> {
        self.0.iter().find(|(_, one, _)| *one == gid).map(|(name, _, _)| *name)
    }

    fn with<'g>(&'g self, member: &'g str) -> impl Iterator<Item = &'s str> + 'g {
        self.0.iter().filter(move |(_, _, members)| members.contains(&member)).map(|(name, _, _)| *name)
    }
}
