//! Commands that run at certain times.

use super::super::{Findings, short};
use crate::model::{Services, Timer};
use crate::pointer::child;

pub(super) fn check(services: &Services, f: &mut Findings) {
    for (name, timer) in &services.timers {
        let at = child("/services/timers", name);
        let well = !name.is_empty()
            && name.len() <= 200
            && name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
        if !well {
            let help = "letters, digits, `_` and `-`, without `.timer`";
            f.wrong_key(&at, format!("`{}` is not a name for a timer", short(name)), help);
        } else if name.starts_with("cairn-") {
            f.wrong_key(&at, "units whose names begin with `cairn-` are Cairn's own", "choose another name");
        } else if let Some(unit) = ["timer", "service"]
            .map(|kind| format!("{name}.{kind}"))
            .iter()
            .find(|unit| services.units.contains_key(*unit))
        {
            f.wrong_key(&at, format!("`{}` is in `services.units` as well", short(unit)), "choose another name");
        }
        one(&at, timer, f);
    }
}

fn one(at: &str, timer: &Timer, f: &mut Findings) {
    let when = timer.on_calendar.trim();
    if when.split_whitespace().count() == 5 && when.bytes().all(|b| b.is_ascii_digit() || b"*/,- ".contains(&b)) {
        let help =
            "write `*-*-* 03:30` for cron's `30 3 * * *`, or hourly, daily, weekly; `man systemd.time` has the rest";
        f.wrong(child(at, "on_calendar"), format!("`{}` is in the form of cron", short(when)), help);
    } else if when.is_empty() || !when.bytes().all(|b| b.is_ascii_alphanumeric() || b" *:,./~_+-".contains(&b)) {
        let help = "write for example daily, `Mon 04:00` or `*-*-01 03:30`; `man systemd.time` has the rest";
        f.wrong(child(at, "on_calendar"), format!("`{}` is not a time", short(when)), help);
    }
    if timer.command.trim().is_empty() {
        f.wrong(child(at, "command"), "the command is empty", "write a shell command");
    }
    if let Some(user) = &timer.user
        && (user.is_empty() || !user.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)))
    {
        f.wrong(child(at, "user"), format!("`{}` is not the name of a user", short(user)), "");
    }
}
