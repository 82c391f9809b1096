//! Lines of tmpfiles.d(5).

use super::{Findings, short};
use crate::pointer::child;

/// The types that there are. What is copied or written may only come from and go to places that are looked at below.
const TYPES: &str = "fwdDevqQpLcbCxXrRzZtThHaA";
/// Places that no line may change: they are other keys', the store's, or nobody's.
const NOT_HERE: [&str; 9] = ["/etc", "/usr", "/nix", "/boot", "/efi", "/proc", "/sys", "/dev", "/bin"];

pub(super) fn check(lines: &[String], f: &mut Findings) {
    for (i, line) in lines.iter().enumerate() {
        if let Some((message, help)) = problem(line) {
            f.wrong(child("/tmpfiles", i), message, help);
        }
    }
}

/// What is wrong with a line, and what to do.
fn problem(line: &str) -> Option<(String, String)> {
    const HELP: &str = "write for example `d /srv/www 0755 www-data www-data -`; `man tmpfiles.d` has the rest";
    let wrong = |message: String, help: &str| Some((message, help.to_owned()));
    if line.contains(['"', '\'', '\\']) {
        return wrong("a line with quotes or `\\` is read in more than one way".into(), "leave them out");
    }
    let words: Vec<&str> = line.split_whitespace().collect();
    let [kind, path, rest @ ..] = words.as_slice() else {
        return wrong(format!("`{}` is not a line of tmpfiles.d", short(line)), HELP);
    };
    let (letter, flags) = kind.split_at(kind.chars().next().map_or(0, char::len_utf8));
    if letter.is_empty() || !TYPES.contains(letter) || !flags.bytes().all(|b| b"+!-=~^$?".contains(&b)) {
        return wrong(format!("`{}` is not a type of tmpfiles.d", short(kind)), HELP);
    }
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    if !path.starts_with('/') || parts.iter().any(|part| matches!(*part, "" | "." | "..")) {
        return wrong(format!("`{}` is not a plain absolute path", short(path)), HELP);
    }
    let is_in =
        |folder: &&&str| path.strip_prefix(**folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if let Some(folder) = NOT_HERE.iter().find(is_in).filter(|_| !path.starts_with("/usr/local/")) {
        let help = match *folder {
            "/etc" => "declare it in `files`",
            _ => "choose a place under /srv, /opt, /var, /run, /tmp, /home or /usr/local",
        };
        return wrong(format!("nothing in {folder} is changed by tmpfiles here"), help);
    }
    if ["/var/lib/cairn", "/var/cache/cairn"].iter().any(|folder| is_in(&folder)) {
        return wrong(format!("`{}` is Cairn's own", short(path)), "choose another place");
    }
    // One level below the root is a whole part of the machine: everything in /var, all homes.
    if "rRDzZ".contains(letter) && parts.len() < 2 {
        return wrong(
            format!("`{} {}` is about all that is in it", short(kind), short(path)),
            "name what is meant in it",
        );
    }
    columns(rest, HELP)
}

/// Mode, user, group and age, as far as they are given.
fn columns(rest: &[&str], help: &str) -> Option<(String, String)> {
    let is_given = |word: &&&str| **word != "-";
    if let Some(mode) = rest.first().filter(is_given) {
        let octal = mode.trim_start_matches([':', '~']);
        if !(3..=4).contains(&octal.len()) || !octal.bytes().all(|b| (b'0'..=b'7').contains(&b)) {
            return Some((format!("`{}` is not a mode", short(mode)), help.to_owned()));
        }
    }
    for (what, word) in [("user", rest.get(1)), ("group", rest.get(2))] {
        let name = word.filter(is_given).map(|word| word.trim_start_matches(':'));
        if let Some(name) = name
            && (name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b)))
        {
            return Some((format!("`{}` is not a {what}", short(name)), help.to_owned()));
        }
    }
    let age = rest.get(3).filter(is_given).map(|age| age.trim_start_matches('~'));
    let age = age.map(|age| age.rsplit_once(':').map_or(age, |(_, age)| age));
    if let Some(age) = age
        && (!age.starts_with(|c: char| c.is_ascii_digit()) || !age.bytes().all(|b| b.is_ascii_alphanumeric()))
    {
        return Some((format!("`{}` is not an age", short(age)), "write for example 10d, 12h or `-`".to_owned()));
    }
    None
}
