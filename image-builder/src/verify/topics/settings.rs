//! Kernel settings and modules, time zone, language, keyboard.

use crate::verify::answer::{Answer, Parts};
use crate::verify::check::Check;
use crate::verify::expected::Expected;
use crate::verify::script::quote;

/// The file of a kernel setting: the first separator of the name says which of the two it is (sysctl.d(5)).
fn sysctl_path(key: &str) -> String {
    let dots_first = key.find(['.', '/']).is_some_and(|at| key[at..].starts_with('.'));
    let swap = |c| match c {
        '.' => '/',
        '/' => '.',
        c => c,
    };
    let path: String = if dots_first { key.chars().map(swap).collect() } else { key.into() };
    format!("/proc/sys/{path}")
}

pub(super) fn ask(expected: &Expected) -> Option<String> {
    let mut command = "echo '== timezone'; readlink /etc/localtime\n\
        echo '== lang'; cat /etc/locale.conf /etc/default/locale 2>/dev/null\n\
        echo '== keyboard'; cat /etc/vconsole.conf /etc/default/keyboard 2>/dev/null\n"
        .to_string();
    if let Some(lang) = &expected.lang {
        command += &format!("echo '== charmap'; LC_ALL={} locale charmap 2>&1\n", quote(lang));
    }
    for key in expected.sysctl.keys() {
        command += &format!("echo '== sysctl {key}'; cat {}\n", quote(&sysctl_path(key)));
    }
    for module in expected.modules.iter().chain(&expected.no_modules) {
        let folder = format!("/sys/module/{}", module.replace('-', "_"));
        command += &format!("echo '== module {module}'; [ -d {} ] && echo loaded\n", quote(&folder));
    }
    Some(command)
}

pub(super) fn judge(expected: &Expected, answer: &Answer) -> Vec<Check> {
    let parts = answer.parts();
    let mut checks = Vec::new();
    for (key, value) in &expected.sysctl {
        // The kernel parts numbers by tabs, people by blanks.
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        checks.push(Check::equal(format!("sysctl {key}"), words(value), words(parts.line(&format!("sysctl {key}")))));
    }
    for (list, want) in [(&expected.modules, "loaded"), (&expected.no_modules, "not loaded")] {
        for module in list {
            let there = parts.line(&format!("module {module}")) == "loaded";
            checks.push(Check::equal(format!("module {module}"), want, if there { "loaded" } else { "not loaded" }));
        }
    }
    if let Some(zone) = &expected.timezone {
        let target = parts.line("timezone");
        let found =
            target.split_once("zoneinfo/").map_or(if target.is_empty() { "UTC" } else { target }, |(_, zone)| zone);
        let same = found == zone || [found, zone.as_str()].iter().all(|z| ["UTC", "Etc/UTC"].contains(z));
        checks.push(Check::new("time zone", same, zone, found));
    }
    if let Some(lang) = &expected.lang {
        checks.push(language(lang, &parts));
    }
    if let Some(layout) = &expected.keyboard {
        let found =
            assignment(parts.lines("keyboard"), "XKBLAYOUT").or_else(|| assignment(parts.lines("keyboard"), "KEYMAP"));
        checks.push(Check::equal("keyboard", layout, found.unwrap_or("us")));
    }
    checks
}

/// `LANG` is as declared, and the C library knows the language.
fn language(lang: &str, parts: &Parts<'_>) -> Check {
    let set = assignment(parts.lines("lang"), "LANG").unwrap_or("none");
    let known = !parts.lines("charmap").iter().any(|l| l.contains("Cannot set"));
    let found = if known { set.to_string() } else { format!("{set}, which the system does not know") };
    Check::equal("language", lang, found)
}

/// The value of the last `NAME=value`, without quotes.
fn assignment<'a>(lines: &[&'a str], name: &str) -> Option<&'a str> {
    let value = lines.iter().rev().find_map(|l| l.trim().strip_prefix(name)?.strip_prefix('='))?;
    Some(value.trim_matches(['"', '\'']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_settings_become_files() {
        assert_eq!(sysctl_path("net.ipv4.ip_forward"), "/proc/sys/net/ipv4/ip_forward");
        assert_eq!(sysctl_path("net/ipv4/conf/eth0.1/rp_filter"), "/proc/sys/net/ipv4/conf/eth0.1/rp_filter");
        assert_eq!(sysctl_path("net.ipv4.conf.eth0/1.rp_filter"), "/proc/sys/net/ipv4/conf/eth0.1/rp_filter");
    }

    const OUT: &str = "== timezone\n/usr/share/zoneinfo/Europe/Berlin\n== lang\nLANG=\"de_DE.UTF-8\"\n\
        == keyboard\nXKBLAYOUT=de\n== charmap\nUTF-8\n== sysctl kernel.printk\n4\t4\t1\t7\n== module loop\nloaded\n\
        == module pcspkr\n";

    fn failing(out: &str) -> Vec<String> {
        let expected = Expected {
            timezone: Some("Europe/Berlin".into()),
            lang: Some("de_DE.UTF-8".into()),
            keyboard: Some("de".into()),
            sysctl: [("kernel.printk".into(), "4 4 1 7".into())].into(),
            modules: vec!["loop".into()],
            no_modules: vec!["pcspkr".into()],
            ..Expected::default()
        };
        let checks = judge(&expected, &Answer { out: out.into(), ..Answer::default() });
        checks.into_iter().filter(|c| !c.ok).map(|c| c.name).collect()
    }

    #[test]
    fn settings_as_declared_pass_and_others_do_not() {
        assert!(failing(OUT).is_empty());
        assert_eq!(failing(&OUT.replace("4\t4", "4\t3")), ["sysctl kernel.printk"]);
        assert_eq!(failing(&OUT.replace("loop\nloaded", "loop")), ["module loop"]);
        assert_eq!(failing(&OUT.replace("pcspkr", "pcspkr\nloaded")), ["module pcspkr"]);
        assert_eq!(failing(&OUT.replace("Berlin", "Paris")), ["time zone"]);
        assert_eq!(failing(&OUT.replace("== charmap\n", "== charmap\nlocale: Cannot set LC_ALL\n")), ["language"]);
        assert_eq!(failing(&OUT.replace("=de\n", "=fr\n")), ["keyboard"]);
    }

    #[test]
    fn no_link_means_utc() {
        let expected = Expected { timezone: Some("Etc/UTC".into()), ..Expected::default() };
        assert!(judge(&expected, &Answer { out: "== timezone\n".into(), ..Answer::default() })[0].ok);
    }
}
