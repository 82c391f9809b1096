//! User accounts and groups.

use std::collections::BTreeMap;

use super::{Findings, is_safe_in_a_path, repeated, short, ssh};
use crate::model::{Group, Machine, User};
use crate::pointer::child;

/// Ids that a person or group of the machine's own may have (Debian Policy 9.2, systemd's UIDS-GIDS).
fn is_normal(id: u32) -> bool {
    (1000..=59999).contains(&id) || (65536..=4_294_967_293).contains(&id)
}

/// Ids that a system account of the machine's own may have.
fn is_system(id: u32) -> bool {
    (100..=999).contains(&id)
}

/// The accounts that every Debian has (base-passwd's, but for root), which have work of their own.
const DEBIANS: [&str; 16] = [
    "_apt", "backup", "bin", "daemon", "games", "irc", "list", "lp", "mail", "man", "news", "proxy", "sync", "sys",
    "uucp", "www-data",
];

pub(super) fn check(machine: &Machine, f: &mut Findings) {
    let mut uids: BTreeMap<u32, &str> = BTreeMap::new();
    for (name, user) in &machine.users {
        let at = child("/users", name);
        account_name(&at, name, "user", f);
        if DEBIANS.contains(&name.as_str()) && !user.system {
            let help = "choose another name; or, if Debian's account is to be changed, write `system: true`";
            f.wrong_key(
                &at,
                format!("`{name}` is an account of Debian's own, with a number and a home of its own"),
                help,
            );
        }
        one_user(&at, name, user, f);
        if let Some(uid) = user.uid
            && let Some(other) = uids.insert(uid, name)
        {
            f.wrong(
                child(&at, "uid"),
                format!("the user `{}` has the uid {uid} as well", short(other)),
                "give each its own",
            );
        }
    }
    let mut gids: BTreeMap<u32, &str> = BTreeMap::new();
    for (name, group) in &machine.groups {
        let at = child("/groups", name);
        account_name(&at, name, "group", f);
        one_group(&at, name, group, f);
        if let Some(gid) = group.gid
            && let Some(other) = gids.insert(gid, name)
        {
            f.wrong(
                child(&at, "gid"),
                format!("the group `{}` has the gid {gid} as well", short(other)),
                "give each its own",
            );
        }
    }
    moving_uids(machine, f);
    keys_without_a_server(machine, f);
    let can_log_in = |user: &User| user.hashed_password_file.is_some() || !user.ssh_authorized_keys.is_empty();
    if !machine.users.values().any(can_log_in) {
        let help = "give a user `ssh_authorized_keys` or a `hashed_password_file`";
        f.doubtful("/users", "nobody can log in: no user has a password or an SSH key", help);
    }
}

/// Uids that are not given follow the order of names, so that a new user moves those after it.
fn moving_uids(machine: &Machine, f: &mut Findings) {
    let normal = || machine.users.iter().filter(|(name, user)| *name != "root" && !user.system);
    if normal().count() < 2 {
        return;
    }
    for (name, _) in normal().filter(|(_, user)| user.uid.is_none()) {
        let message =
            format!("the uid of `{}` depends on the other users, and may change when one is added", short(name));
        f.doubtful(child("/users", name), message, "give each user a `uid`, from 1000 on");
    }
}

/// Packages that bring OpenSSH's server, which is told where the machine file's keys are.
const OPENSSH: [&str; 3] = ["openssh-server", "ssh", "task-ssh-server"];

/// Keys of the machine file that nothing reads.
fn keys_without_a_server(machine: &Machine, f: &mut Findings) {
    let packages = &machine.source.debian().packages;
    if packages.iter().any(|name| OPENSSH.contains(&name.as_str())) {
        return;
    }
    let Some((name, _)) = machine.users.iter().find(|(_, user)| !user.ssh_authorized_keys.is_empty()) else { return };
    let at = child(child("/users", name), "ssh_authorized_keys");
    if let Some(other) = packages.iter().find(|name| name.starts_with("dropbear") || *name == "tinysshd") {
        let message = format!("`{other}` does not read these keys: they are in /etc/ssh/authorized_keys.d");
        f.doubtful(at, message, "take openssh-server, or put the keys into ~/.ssh/authorized_keys on the machine");
    } else {
        let message = "no SSH server is among the packages, so nobody can log in by these keys";
        f.doubtful(at, message, "add openssh-server to `source.debian.packages`");
    }
}

fn account_name(at: &str, name: &str, what: &str, f: &mut Findings) {
    let well = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b));
    if !well {
        let help = "small letters, digits, `_` and `-`, with a letter or `_` first";
        f.wrong_key(at, format!("`{}` is not a name for a {what}", short(name)), help);
    } else if name.len() > 32 {
        f.wrong_key(at, format!("the name of the {what} has {} characters, more than 32", name.len()), "");
    } else if name == "nobody" || name == "nogroup" {
        f.wrong_key(at, format!("`{name}` is the system's own, and must stay as it is"), "choose another name");
    }
}

fn one_user(at: &str, name: &str, user: &User, f: &mut Findings) {
    if name == "root" {
        root(at, user, f);
    } else if let Some(uid) = user.uid {
        id(&child(at, "uid"), "uid", uid, user.system, f);
    }
    if let Some(description) = &user.description
        && (description.contains(':') || description.chars().any(char::is_control))
    {
        f.wrong(child(at, "description"), "a user's description cannot have `:` or line breaks in it", "");
    }
    if let Some(group) = &user.group {
        group_name(&child(at, "group"), group, f);
    }
    for (i, group) in user.groups.iter().enumerate() {
        let at = child(child(at, "groups"), i);
        group_name(&at, group, f);
        if group == "wheel" {
            f.doubtful(at, "Debian has no group `wheel`", "`sudo` is the group whose members may use sudo");
        }
    }
    for i in repeated(&user.groups) {
        let at = child(child(at, "groups"), i);
        f.doubtful(at, format!("the group `{}` is listed twice", short(&user.groups[i])), "remove one");
    }
    if let Some(home) = &user.home {
        absolute(&child(at, "home"), home, "home directory", f);
        let taken = ["/etc", "/usr", "/nix", "/proc", "/sys", "/dev", "/run", "/tmp", "/boot", "/efi"];
        let within = |folder: &&str| home.strip_prefix(*folder).is_some_and(|r| r.is_empty() || r.starts_with('/'));
        if !user.system && (home == "/" || taken.iter().any(within)) {
            let help = "choose a place under /home, /var/lib or /srv";
            f.wrong(child(at, "home"), format!("`{}` cannot be a home directory", short(home)), help);
        }
    }
    if let Some(shell) = &user.shell {
        absolute(&child(at, "shell"), shell, "shell", f);
    }
    for (i, key) in user.ssh_authorized_keys.iter().enumerate() {
        if let Some((message, help)) = ssh::key_problem(key) {
            f.wrong(child(child(at, "ssh_authorized_keys"), i), message, help);
        }
    }
    if let Some(path) = &user.hashed_password_file {
        let at = child(at, "hashed_password_file");
        if path.is_empty() {
            f.wrong(at, "the path is empty", "name a file, or remove the line");
        } else if path.starts_with('$') {
            let help = "put the hash into a file beside this one, and name that file here";
            f.wrong(at, "this is a password hash, and would be readable by all", help);
        }
    }
}

/// `root` exists already; what it is cannot be changed, only how it logs in.
fn root(at: &str, user: &User, f: &mut Findings) {
    let fixed = [
        ("uid", user.uid.is_some_and(|uid| uid != 0), "0"),
        ("group", user.group.as_deref().is_some_and(|group| group != "root"), "root"),
        ("home", user.home.as_deref().is_some_and(|home| home != "/root"), "/root"),
    ];
    for (key, wrong, value) in fixed {
        if wrong {
            f.wrong(child(at, key), format!("the {key} of root is {value}"), "remove the line");
        }
    }
}

fn one_group(at: &str, name: &str, group: &Group, f: &mut Findings) {
    if name == "root" {
        f.wrong_key(at, "the group root is the system's own", "remove it");
    } else if let Some(gid) = group.gid {
        id(&child(at, "gid"), "gid", gid, group.system, f);
    }
}

fn id(at: &str, what: &str, id: u32, system: bool, f: &mut Findings) {
    if system && !is_system(id) {
        f.wrong(
            at,
            format!("the {what} {id} is not one of a system account"),
            "choose one from 100 to 999, or leave it out",
        );
    } else if id == 0 {
        f.wrong(at, format!("the {what} 0 is root's"), "choose one from 1000 to 59999, or leave it out");
    } else if !system && is_system(id) {
        let help = "add `system: true`, or choose one from 1000 to 59999";
        f.wrong(at, format!("the {what} {id} is below 1000, where system accounts are"), help);
    } else if !system && !is_normal(id) {
        let help = "choose one from 1000 to 59999, or leave it out";
        f.wrong(at, format!("the {what} {id} is reserved by Debian or systemd"), help);
    }
}

/// A group that is named; whether it exists is known when the base is.
fn group_name(at: &str, name: &str, f: &mut Findings) {
    let well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    if !well || name.len() > 32 {
        f.wrong(at, format!("`{}` is not the name of a group", short(name)), "");
    }
}

fn absolute(at: &str, path: &str, what: &str, f: &mut Findings) {
    let message = if !path.starts_with('/') {
        format!("the {what} `{}` is not an absolute path", short(path))
    } else if path.split('/').any(|part| part == "..") {
        format!("the {what} `{}` has `..` in it", short(path))
    } else if path.contains("//") || path.contains("/./") || (path.len() > 1 && path.ends_with(['/', '.'])) {
        format!("the {what} `{}` has `//`, `/./` or a `/` or dot at its end", short(path))
    } else if path.len() > 1024 || path.split('/').any(|part| part.len() > 255) {
        format!("the {what} `{}` is too long", short(path))
    } else if !path.bytes().all(is_safe_in_a_path) {
        let help = "letters, digits and `/._-+@` mean the same to every program that reads accounts, and in units";
        return f.wrong(at, format!("the {what} `{}` has characters that it cannot have", short(path)), help);
    } else {
        return;
    };
    let help = if what == "shell" { "write for example /bin/bash" } else { "write for example /home/alice" };
    f.wrong(at, message, help);
}

/// Why a file does not hold a password hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PasswordHashError {
    /// Nothing in it.
    #[error("the file is empty; `openssl passwd -6` or `mkpasswd` makes a hash")]
    Empty,
    /// Several lines.
    #[error("the file has more than one line; it holds one hash and nothing else")]
    SeveralLines,
    /// Not a crypt(5) hash: probably the password itself.
    #[error("the file does not hold a crypt(5) hash; `openssl passwd -6` or `mkpasswd` makes one from a password")]
    NotAHash,
    /// A method that Debian's libcrypt no longer accepts, or that is broken.
    #[error("the hash is made by a method that is too weak; `openssl passwd -6` or `mkpasswd` makes a better one")]
    Weak,
}

/// The hash in a `hashed_password_file`, without the line break at its end. `!` and `*` (no password) are accepted.
///
/// # Errors
/// When it is not the one line of a crypt(5) hash.
pub fn password_hash(bytes: &[u8]) -> Result<&str, PasswordHashError> {
    let text = std::str::from_utf8(bytes).map_err(|_| PasswordHashError::NotAHash)?;
    let hash = text.trim_end_matches(['\n', '\r']);
    if hash.is_empty() {
        return Err(PasswordHashError::Empty);
    }
    if hash.contains(['\n', '\r']) {
        return Err(PasswordHashError::SeveralLines);
    }
    if matches!(hash, "!" | "*" | "!!" | "!*") {
        return Ok(hash);
    }
    let mut parts = hash.split('$');
    let method = match (parts.next(), parts.next()) {
        (Some(""), Some(method)) if parts.clone().count() >= 2 => method,
        _ => return Err(PasswordHashError::NotAHash),
    };
    let printable = hash.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b':' | b'!' | b'*' | b'\\'));
    if !printable || hash.len() < 20 || parts.next_back().is_none_or(|digest| digest.len() < 20) {
        return Err(PasswordHashError::NotAHash);
    }
    match method {
        "y" | "gy" | "7" | "6" | "5" | "2a" | "2b" | "2y" => Ok(hash),
        "1" | "md5" | "sha1" | "3" => Err(PasswordHashError::Weak),
        _ => Err(PasswordHashError::NotAHash),
    }
}
