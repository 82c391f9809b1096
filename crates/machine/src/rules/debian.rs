//! The Debian source: suite, mirror, components, package names.

use super::{Findings, repeated, short};
use crate::debconf;
use crate::model::DebianSource;
use crate::pointer::child;

const AT: &str = "/source/debian";

pub(super) fn check(source: &DebianSource, f: &mut Findings) {
    suite(&source.suite, f);
    if let Some(mirror) = &source.mirror {
        mirror_uri(mirror, f);
    }
    components(&source.components, f);
    for (i, name) in source.packages.iter().enumerate() {
        package(&child("/source/debian/packages", i), name, f);
    }
    for i in repeated(&source.packages) {
        let at = child("/source/debian/packages", i);
        f.doubtful(at, format!("the package `{}` is listed twice", short(&source.packages[i])), "remove one");
    }
    for (i, answer) in source.debconf.iter().enumerate() {
        if let Some((what, help)) = debconf::problem(answer) {
            f.wrong(child("/source/debian/debconf", i), format!("`{}` {what}", short(answer)), help);
        }
    }
    let at = child(AT, "kernel");
    package(&at, &source.kernel, f);
    if source.kernel.starts_with("linux-image-") && !source.kernel.contains("amd64") {
        let help = "write linux-image-amd64, or linux-image-cloud-amd64 for virtual machines";
        f.wrong(&at, format!("`{}` is not a kernel for x86-64", short(&source.kernel)), help);
    }
}

/// Releases before trixie that somebody may still ask for.
const TOO_OLD: [&str; 6] = ["bookworm", "bullseye", "buster", "stretch", "jessie", "wheezy"];

fn suite(suite: &str, f: &mut Findings) {
    let at = child(AT, "suite");
    let well = suite.starts_with(|c: char| c.is_ascii_lowercase())
        && suite.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !well {
        let help = "write a code name in small letters, such as trixie";
        f.wrong(at, format!("`{}` is not the name of a suite", short(suite)), help);
    } else if TOO_OLD.contains(&suite) {
        // The initrd is made of what systemd has had since its version 254.
        let message = format!("`{suite}` has a systemd that is too old for a machine");
        f.wrong(at, message, "write trixie, or a later release");
    } else if matches!(suite, "stable" | "oldstable" | "testing") {
        let message = format!("`{suite}` becomes another release one day");
        f.doubtful(at, message, "write the code name, such as trixie");
    }
}

fn mirror_uri(uri: &str, f: &mut Findings) {
    const HELP: &str = "write for example https://mirror.example.org/debian; http, https, file and copy are known";
    let at = child(AT, "mirror");
    if uri.starts_with("deb ")
        || uri.contains(char::is_whitespace)
        || uri.contains(|c: char| c.is_control() || "\"'\\<>[]".contains(c))
    {
        let help = "write only the URI; suite and components have keys of their own";
        return f.wrong(at, format!("`{}` is not a URI", short(uri)), help);
    }
    let Some((scheme, rest)) = uri.split_once(':') else {
        return f.wrong(at, format!("`{}` is not a URI", short(uri)), HELP);
    };
    match scheme {
        "http" | "https" => {
            let host = rest.strip_prefix("//").map(|r| r.split('/').next().unwrap_or_default());
            match host {
                None | Some("") => f.wrong(at, format!("`{}` names no host", short(uri)), HELP),
                Some(host) if host.contains('@') => {
                    let help = "put them into apt's auth.conf; the machine file becomes part of the system, which all can read";
                    f.wrong(at, "the mirror's URI has a user name or a password in it", help);
                }
                Some(_) => {}
            }
        }
        "file" | "copy" => {
            let path = rest.strip_prefix("//").unwrap_or(rest);
            if !path.starts_with('/') || path.split('/').any(|part| part == "..") {
                let help = format!("write an absolute path, such as {scheme}:///srv/debian");
                f.wrong(at, format!("`{}` names no absolute path", short(uri)), help);
            }
        }
        _ => f.wrong(at, format!("`{}` has a scheme that is not supported", short(uri)), HELP),
    }
}

fn components(components: &[String], f: &mut Findings) {
    const KNOWN: [&str; 4] = ["main", "contrib", "non-free", "non-free-firmware"];
    let at = child(AT, "components");
    if components.is_empty() {
        f.wrong(&at, "there are no components", "write `components: [main]`, or remove the line");
    } else if !components.iter().any(|c| c == "main") {
        f.doubtful(&at, "the component `main` is not listed; what every machine needs is in it", "add `main`");
    }
    for (i, component) in components.iter().enumerate() {
        let well = !component.is_empty()
            && component.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'/'));
        let near = crate::nearest(component, KNOWN).filter(|near| near != component);
        if !well || (near.is_some() && !KNOWN.contains(&component.as_str())) {
            let help = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("Debian's are {}", KNOWN.join(", ")),
            };
            f.wrong(child(&at, i), format!("`{}` is not a component", short(component)), help);
        }
    }
    for i in repeated(components) {
        f.wrong(child(&at, i), format!("`{}` is listed twice", short(&components[i])), "remove one");
    }
}

/// The name of a binary package (Debian Policy 5.6.1).
fn package(at: &str, name: &str, f: &mut Findings) {
    let well = name.len() >= 2
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b))
        && !name.ends_with('-');
    if well {
        return;
    }
    let help = if name.contains('=') {
        "leave the version out: `cairn lock` records versions in machine.lock".to_owned()
    } else if name.contains('/') || name.contains(".deb") {
        "write the name of a package in the archive".to_owned()
    } else if name.ends_with('-') {
        "a `-` at the end means \"remove\" to apt; list only what is to be installed".to_owned()
    } else if name.trim().contains([' ', ',']) {
        "one package in each item".to_owned()
    } else if name.contains(':') {
        "leave the architecture out".to_owned()
    } else if name.len() >= 2 && name != name.to_ascii_lowercase() {
        format!("names of packages are in small letters: `{}`", short(&name.to_ascii_lowercase()))
    } else {
        "small letters, digits, `+`, `-` and `.`; at least two characters".to_owned()
    };
    f.wrong(at, format!("`{}` is not the name of a package", short(name)), help);
}
