//! Host name, time zone, language, keyboard, kernel settings, kernel modules, tests.

use std::collections::{BTreeMap, BTreeSet};

use super::{Findings, repeated, short};
use crate::model::{KernelModules, Keyboard, Locale, Machine, SysctlValue, Test};
use crate::pointer::child;

pub(super) fn check(machine: &Machine, f: &mut Findings) {
    hostname(&machine.hostname, f);
    if machine.hardware.as_deref() == Some("") {
        f.wrong("/hardware", "the path is empty", "name the hardware file, or remove the line");
    }
    timezone(&machine.timezone, f);
    locale(&machine.locale, f);
    keyboard(&machine.keyboard, f);
    sysctl(&machine.sysctl, f);
    kernel_modules(&machine.kernel_modules, f);
    tests(&machine.tests, f);
}

fn hostname(name: &str, f: &mut Findings) {
    const HELP: &str = "labels of letters, digits and `-`, up to 63 characters each, with `.` between them; 64 in all";
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.is_empty() {
        f.wrong("/hostname", "the host name is empty", HELP);
    } else if name.len() > 64 {
        f.wrong("/hostname", format!("the host name has {} characters, more than 64", name.len()), HELP);
    } else if !name.split('.').all(label) {
        f.wrong("/hostname", format!("`{}` is not a host name (RFC 1123)", short(name)), HELP);
    } else if name.parse::<std::net::Ipv4Addr>().is_ok() {
        f.wrong("/hostname", format!("`{name}` is an address, not a host name"), "choose a name");
    } else if name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().starts_with("localhost.") {
        f.wrong("/hostname", "`localhost` is every machine's name for itself", "choose a name");
    } else if name.bytes().any(|b| b.is_ascii_uppercase()) {
        let help = format!("write `{}`", name.to_ascii_lowercase());
        f.doubtful("/hostname", "capitals in a host name are not told apart from small letters", help);
    }
}

fn timezone(zone: &str, f: &mut Findings) {
    let part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'+'))
    };
    let help = "write its name in the tz database, such as Europe/Berlin or UTC";
    if zone.is_empty() || !zone.split('/').all(part) || !zone.starts_with(|c: char| c.is_ascii_alphabetic()) {
        f.wrong("/timezone", format!("`{}` is not the name of a time zone", short(zone)), help);
    } else if zone.bytes().all(|b| b.is_ascii_lowercase() || b == b'/') {
        f.wrong("/timezone", format!("`{}`: names of time zones are written with capitals", short(zone)), help);
    }
}

fn locale(locale: &Locale, f: &mut Findings) {
    const CATEGORIES: [&str; 12] = [
        "LC_ADDRESS",
        "LC_COLLATE",
        "LC_CTYPE",
        "LC_IDENTIFICATION",
        "LC_MEASUREMENT",
        "LC_MESSAGES",
        "LC_MONETARY",
        "LC_NAME",
        "LC_NUMERIC",
        "LC_PAPER",
        "LC_TELEPHONE",
        "LC_TIME",
    ];
    locale_name("/locale/lang", &locale.lang, f);
    for (category, value) in &locale.categories {
        let at = child("/locale/categories", category);
        if category == "LC_ALL" || category == "LANG" {
            f.wrong_key(&at, format!("`{category}` is not a single category"), "set `locale.lang`");
        } else if !CATEGORIES.contains(&category.as_str()) {
            let help = match crate::nearest(category, CATEGORIES) {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => format!("the categories are {}", CATEGORIES.join(", ")),
            };
            f.wrong_key(&at, format!("`{}` is not a category of a locale", short(category)), help);
        }
        locale_name(&at, value, f);
    }
}

fn locale_name(at: &str, name: &str, f: &mut Findings) {
    let (base, modifier) = name.split_once('@').map_or((name, "x"), |(base, modifier)| (base, modifier));
    let (language, charset) = base.split_once('.').map_or((base, None), |(l, c)| (l, Some(c)));
    let language_is_well = match language.split_once('_') {
        None => matches!(language, "C" | "POSIX") || lower(language),
        Some((language, territory)) => {
            lower(language) && territory.len() >= 2 && territory.bytes().all(|b| b.is_ascii_uppercase())
        }
    };
    let help = "write for example de_DE.UTF-8 or C.UTF-8";
    if !language_is_well || modifier.is_empty() || !modifier.bytes().all(|b| b.is_ascii_alphanumeric()) {
        f.wrong(at, format!("`{}` is not the name of a locale", short(name)), help);
    } else if charset.is_none() {
        // Without it the C library takes what the locale began with: ISO-8859-1 for de_DE, UTF-8 for hi_IN.
        let whole = name.replacen(language, &format!("{language}.UTF-8"), 1);
        let help = format!("write `{}`", short(&whole));
        f.wrong(at, format!("`{}` does not say that it uses UTF-8", short(name)), help);
    } else if !matches!(charset, Some("UTF-8" | "utf8")) {
        f.wrong(at, format!("`{}` does not use UTF-8", short(name)), help);
    }
}

fn lower(text: &str) -> bool {
    (2..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase())
}

fn keyboard(keyboard: &Keyboard, f: &mut Findings) {
    let mut word = |key: &str, value: &str, more: &str| {
        if value.is_empty()
            || !value.chars().all(|c| c.is_ascii_alphanumeric() || "_-,".contains(c) || more.contains(c))
        {
            let message = format!("`{}` is not a name that XKB could know", short(value));
            f.wrong(
                format!("/keyboard/{key}"),
                message,
                "`man xkeyboard-config` lists layouts, variants, models and options",
            );
        }
    };
    word("layout", &keyboard.layout, "()");
    word("model", &keyboard.model, "");
    if let Some(variant) = &keyboard.variant {
        word("variant", variant, "");
    }
    for (i, option) in keyboard.options.iter().enumerate() {
        word(&format!("options/{i}"), option, ":+()");
    }
}

fn sysctl(settings: &BTreeMap<String, SysctlValue>, f: &mut Findings) {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for (name, value) in settings {
        let at = child("/sysctl", name);
        let well = name
            .split(['.', '/'])
            .all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "_-*".contains(c)));
        if !well || !name.contains(['.', '/']) {
            let help = "write it as in sysctl.d, such as net.ipv4.ip_forward";
            f.wrong_key(&at, format!("`{}` is not the name of a kernel setting", short(name)), help);
        }
        if let Some(other) = seen.insert(name.replace('/', "."), name) {
            let message = format!("`{}` and `{}` are the same setting", short(name), short(other));
            f.wrong_key(&at, message, "keep one of the two");
        }
        if let SysctlValue::Text(text) = value
            && text.trim().is_empty()
        {
            f.wrong(&at, "the value of a kernel setting is one line that is not empty", "");
        }
    }
}

fn kernel_modules(modules: &KernelModules, f: &mut Findings) {
    for (key, names) in [("load", &modules.load), ("blacklist", &modules.blacklist), ("initrd", &modules.initrd)] {
        module_names(&child("/kernel_modules", key), names, f);
    }
    let plain = |name: &String| name.replace('-', "_");
    let asked_for: BTreeSet<String> = modules.load.iter().chain(&modules.initrd).map(plain).collect();
    for (i, name) in modules.blacklist.iter().enumerate() {
        if asked_for.contains(&plain(name)) {
            let message = format!("the module `{}` is blacklisted, and asked for as well", short(name));
            f.wrong(child("/kernel_modules/blacklist", i), message, "keep one of the two");
        }
    }
}

/// The names of kernel modules in a list.
pub(super) fn module_names(at: &str, names: &[String], f: &mut Findings) {
    for (i, name) in names.iter().enumerate() {
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')) {
            let help = if name.contains(".ko") {
                "write the name without `.ko`"
            } else if name.contains([' ', '=']) {
                "options of a module go into a file: `files: {/etc/modprobe.d/NAME.conf: {text: ...}}`"
            } else {
                "letters, digits, `_` and `-`, such as virtio_blk"
            };
            f.wrong(child(at, i), format!("`{}` is not the name of a kernel module", short(name)), help);
        }
    }
    for i in repeated(names.iter().map(|name| name.replace('-', "_"))) {
        f.doubtful(child(at, i), format!("`{}` is listed twice", short(&names[i])), "remove one");
    }
}

fn tests(tests: &[Test], f: &mut Findings) {
    for (i, test) in tests.iter().enumerate() {
        let at = child("/tests", i);
        if test.name.trim().is_empty() {
            f.wrong(child(&at, "name"), "the name of a test is one line that is not empty", "");
        }
        if test.command.trim().is_empty() {
            f.wrong(child(&at, "command"), "the command is empty", "write a shell command; exit status 0 passes");
        }
    }
    for i in repeated(tests.iter().map(|test| test.name.trim())) {
        let at = child(child("/tests", i), "name");
        f.wrong(at, format!("another test is called `{}`", short(&tests[i].name)), "give each its own name");
    }
}
