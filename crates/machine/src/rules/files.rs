//! Files under /etc, and those that are the machine's own.

use super::{Findings, is_safe_in_a_path, short};
use crate::model::{EtcFile, Machine};
use crate::pointer::child;

/// What Cairn or the machine itself writes, and the key that says what is in it.
const GENERATED: [(&str, &str); 30] = [
    ("/etc/.pwd.lock", "it is the machine's own"),
    ("/etc/adjtime", "it is the machine's own"),
    ("/etc/default/keyboard", "use `keyboard`"),
    ("/etc/default/locale", "use `locale`"),
    ("/etc/fstab", "use `disks`"),
    ("/etc/group", "use `groups`"),
    ("/etc/group-", "use `groups`"),
    ("/etc/gshadow", "use `groups`"),
    ("/etc/gshadow-", "use `groups`"),
    ("/etc/hostname", "use `hostname`"),
    ("/etc/initrd-release", "it belongs to the initrd"),
    ("/etc/ld.so.cache", "it is made from the packages"),
    ("/etc/locale.conf", "use `locale`"),
    ("/etc/localtime", "use `timezone`"),
    ("/etc/machine-id", "it is the machine's own"),
    ("/etc/modprobe.d/machine.conf", "use `kernel_modules`, or another name"),
    ("/etc/modules-load.d/machine.conf", "use `kernel_modules`, or another name"),
    ("/etc/mtab", "it is made by the kernel"),
    ("/etc/os-release", "it comes from the packages"),
    ("/etc/passwd", "use `users`"),
    ("/etc/passwd-", "use `users`"),
    ("/etc/resolv.conf", "use `network.nameservers` and `network.search`"),
    ("/etc/shadow", "use `users` with `hashed_password_file`"),
    ("/etc/shadow-", "use `users` with `hashed_password_file`"),
    ("/etc/subgid", "it follows from `users`"),
    ("/etc/subuid", "it follows from `users`"),
    ("/etc/sysctl.d/90-machine.conf", "use `sysctl`, or another name"),
    ("/etc/systemd/system/default.target", "only its default, multi-user, is supported so far"),
    ("/etc/timezone", "use `timezone`"),
    ("/etc/vconsole.conf", "use `keyboard`"),
];

pub(super) fn check(machine: &Machine, f: &mut Findings) {
    for (path, file) in &machine.files {
        let at = child("/files", path);
        if place(&at, path, f) {
            belongs_elsewhere(&at, path, machine, f);
        }
        contents(&at, file, f);
        mode(&at, path, file, f);
        // The table is sorted: the first path from `PATH/` on is in PATH, or nothing is.
        let inside = format!("{path}/");
        if let Some(other) = machine
            .files
            .range(inside.clone()..)
            .map(|(other, _)| other)
            .next()
            .filter(|other| other.starts_with(&inside))
        {
            let other = child("/files", other);
            f.wrong_key(other, format!("`{}` is a file, so nothing can be in it", short(path)), "keep one of the two");
        }
    }
}

/// Whether a path is one under /etc.
fn place(at: &str, path: &str, f: &mut Findings) -> bool {
    let parts = || path.split('/').skip(1);
    let (message, help) = if !path.starts_with('/') {
        let help = format!("write `/etc/{}`", short(path.strip_prefix("etc/").unwrap_or(path)));
        (format!("`{}` is not an absolute path", short(path)), help)
    } else if parts().any(|part| part == "..") {
        (format!("`{}` has `..` in it", short(path)), "write the path that is meant".to_owned())
    } else if path != "/" && (parts().any(|part| part.is_empty() || part == ".")) {
        let help = "write it without `//`, `/./` and a `/` at the end".to_owned();
        (format!("`{}` is not a plain path", short(path)), help)
    } else if path.chars().any(char::is_control) || path.len() > 1024 || parts().any(|part| part.len() > 255) {
        (format!("`{}` is too long, or has control characters in it", short(path)), String::new())
    } else if MACHINES.iter().any(|folder| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))) {
        return outside_etc(at, path, f);
    } else if path == "/etc" || !path.starts_with("/etc/") {
        let help = format!("files can be declared under /etc, and below {}", MACHINES.join(", "));
        (format!("`{}` is outside /etc", short(path)), help)
    } else {
        return true;
    };
    f.wrong_key(at, message, help);
    false
}

/// Folders of the machine's own in which a file can be declared. A home is made whole, when nothing is there yet.
const MACHINES: [&str; 5] = ["/srv", "/opt", "/var", "/usr/local", "/root"];

/// A file that tmpfiles makes: its path stands in a line of words.
fn outside_etc(at: &str, path: &str, f: &mut Findings) -> bool {
    let own = ["/var/lib/cairn", "/var/cache/cairn", "/var/usrlocal", "/var/lib/dpkg", "/var/swapfile"];
    let taken = own
        .iter()
        .find(|folder| path.strip_prefix(**folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')));
    if let Some(folder) = taken {
        f.wrong_key(
            at,
            format!("`{}` cannot be declared: {folder} is not a place for files of one's own", short(path)),
            "choose another place",
        );
    } else if !path.bytes().all(is_safe_in_a_path) {
        let help = "letters, digits and `/._-+@`";
        f.wrong_key(at, format!("`{}` has characters that a path outside /etc cannot have", short(path)), help);
    }
    false
}

/// Files that another key of the machine file makes, or that belong to the machine.
fn belongs_elsewhere(at: &str, path: &str, machine: &Machine, f: &mut Findings) {
    let generated = GENERATED.iter().find(|(other, _)| *other == path).map(|(_, help)| (*help).to_owned());
    let host_key = path.strip_prefix("/etc/ssh/ssh_host_").map(|_| "each machine makes its own host keys".to_owned());
    let is_own = path == "/etc/cairn" || path.starts_with("/etc/cairn/") || path.ends_with("cairn.conf");
    let own =
        is_own.then(|| "/etc/cairn and names that end in `cairn.conf` are Cairn's; choose another name".to_owned());
    if let Some(help) = generated.or(host_key).or(own) {
        return f.wrong_key(at, format!("`{}` cannot be declared as a file", short(path)), help);
    }
    if path == "/etc/nftables.conf" && machine.network.firewall.is_some() {
        let help = "put its rules into `network.firewall.ruleset`, or leave `network.firewall` out";
        return f.wrong_key(at, "`/etc/nftables.conf` follows from `network.firewall`", help);
    }
    if let Some(unit) = path.strip_prefix("/etc/systemd/system/")
        && machine.services.units.contains_key(unit)
    {
        f.wrong_key(at, format!("the unit `{}` is in `services.units` as well", short(unit)), "keep one of the two");
    }
}

fn contents(at: &str, file: &EtcFile, f: &mut Findings) {
    let given: Vec<&str> = [("text", &file.text), ("source", &file.source), ("link", &file.link)]
        .into_iter()
        .filter_map(|(key, value)| value.is_some().then_some(key))
        .collect();
    match given.as_slice() {
        [_] => {}
        [] => f.wrong(at, "the file has no contents", "add one of `text`, `source` and `link`"),
        more => {
            let message =
                format!("the file has {}", more.iter().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(" and "));
            f.wrong(at, message, "keep one of them");
        }
    }
    if file.source.as_deref() == Some("") {
        f.wrong(child(at, "source"), "the path is empty", "name a file, relative to the machine file");
    }
    if let Some(link) = &file.link {
        if link.is_empty() || link.len() > 1024 || link.chars().any(char::is_control) {
            f.wrong(
                child(at, "link"),
                "the target of the link is empty, too long, or has control characters in it",
                "",
            );
        }
        for (key, given) in
            [("mode", file.mode.is_some()), ("user", file.user.is_some()), ("group", file.group.is_some())]
        {
            if given {
                f.wrong(child(at, key), format!("a link has no {key} of its own"), "remove the line");
            }
        }
    }
    for (key, name) in [("user", &file.user), ("group", &file.group)] {
        if let Some(name) = name
            && (name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)))
        {
            f.wrong(child(at, key), format!("`{}` is not the name of a {key}", short(name)), "");
        }
    }
}

fn mode(at: &str, path: &str, file: &EtcFile, f: &mut Findings) {
    let Some(mode) = &file.mode else { return };
    let at = child(at, "mode");
    let octal = (3..=4).contains(&mode.len()) && mode.bytes().all(|b| (b'0'..=b'7').contains(&b));
    if !octal {
        let help = "write three or four octal digits, such as \"0640\"";
        return f.wrong(at, format!("`{}` is not a mode", short(mode)), help);
    }
    let bits = file.mode_bits();
    if bits > 0o777 {
        f.wrong(
            at,
            format!("{mode} is setuid, setgid or sticky, which a file under /etc has no use for"),
            "begin it with 0",
        );
    } else if bits & 0o400 == 0 {
        f.wrong(at, format!("the owner could not read a file with the mode {mode}"), "write for example \"0644\"");
    } else if bits & 0o004 == 0
        && (file.text.is_some() || file.source.is_some())
        && !path.starts_with("/etc/sudoers.d/")
    {
        let help = "keep secrets out of the machine file; the mode is still good against mistakes";
        f.doubtful(at, "the contents are in the store as well, where all users can read them", help);
    }
}
