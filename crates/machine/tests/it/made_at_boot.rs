//! Rules of what a machine makes at a boot or does at certain times: drop-ins, timers, tmpfiles, swap.

use crate::rules::{accepted, refused, warnings};

#[test]
fn drop_ins_and_timers() {
    let drop_in = |name: &str, text: &str| format!("services: {{drop_ins: {{{name}: {{text: {text:?}}}}}}}");
    let timer = |text: &str| format!("services: {{timers: {{backup: {{{text}}}}}}}");
    let when = |when: &str| timer(&format!("on_calendar: '{when}', command: 'true'"));
    let own = "[Service]\nExecStart=/bin/true\n";
    refused(&[
        (&drop_in("ssh", "[Service]\nNice=5"), "such as `ssh.service`"),
        (&drop_in("a/b.service", "[Service]\nNice=5"), "not the name of a unit"),
        (&drop_in("ssh.service", "Nice=5"), "before any section"),
        (&drop_in("ssh.service", "[Install]\nWantedBy=a.target"), "`services.enable`"),
        (
            &format!(
                "services: {{units: {{a.service: {{enable: false, text: {own:?}}}}}, drop_ins: {{a.service: {{text: {own:?}}}}}}}"
            ),
            "the unit's own text",
        ),
        (&when("30 3 * * *"), "in the form of cron"),
        (&when("*/5 * * * *"), "in the form of cron"),
        (&when("daily; rm"), "not a time"),
        (&when(""), "not a time"),
        (&timer("on_calendar: daily, command: ' '"), "the command is empty"),
        (&timer("on_calendar: daily, command: a, user: 'a b'"), "not the name of a user"),
        ("services: {timers: {a.timer: {on_calendar: daily, command: a}}}", "without `.timer`"),
        ("services: {timers: {cairn-a: {on_calendar: daily, command: a}}}", "Cairn's own"),
        (
            &format!(
                "services: {{units: {{a.service: {{enable: false, text: {own:?}}}}}, timers: {{a: {{on_calendar: daily, command: a}}}}}}"
            ),
            "in `services.units` as well",
        ),
    ]);
    accepted(&[
        &drop_in("getty@.service", "[Service]\nExecStart=\nExecStart=-/sbin/agetty %I"),
        &when("Mon..Fri *-*~01 03:30:00 Europe/Berlin"),
        &timer("on_calendar: hourly, command: \"a\\nb\", persistent: false, randomized_delay: 600, user: www-data"),
    ]);
    assert!(
        warnings(&drop_in("ssh.service", "[Service]").replace("services: {", "services: {disable: [ssh], "))
            .contains("is disabled")
    );
}

#[test]
fn lines_of_tmpfiles_and_swap() {
    let line = |line: &str| format!("tmpfiles: [{line:?}]");
    refused(&[
        (&line(""), "not a line"),
        (&line("d"), "not a line"),
        (&line("y /srv/a"), "not a type"),
        (&line("dé /srv/a"), "not a type"),
        (&line("d srv/a"), "not a plain absolute path"),
        (&line("d /srv/../etc"), "not a plain absolute path"),
        (&line("d /srv//a"), "not a plain absolute path"),
        (&line("d /etc/a"), "declare it in `files`"),
        (&line("L /usr/bin/a"), "nothing in /usr"),
        (&line("d /var/lib/cairn/a"), "Cairn's own"),
        (&line("R /var"), "name what is meant in it"),
        (&line("R! /home"), "name what is meant in it"),
        (&line("d /srv/a 888"), "not a mode"),
        (&line("d /srv/a 0755 a;b"), "not a user"),
        (&line("d /srv/a 0755 a b! -"), "not a group"),
        (&line("d /srv/a 0755 a b soon"), "not an age"),
        (&line("f /srv/a - - - - \"x y\""), "quotes"),
        ("swap: {file: 1K}", "of no use"),
        ("swap: {file: lots}", "swap.file"),
        ("swap: {zram: {memory_percent: 0}}", "from 1 to 400"),
        ("swap: {zram: {algorithm: zip}}", "zstd, lz4, lzo-rle"),
        ("swapDevices: []", "`swap: {file: 2G}`"),
    ]);
    accepted(&[
        &line("d /srv/www :0755 :www-data www-data -"),
        &line("D! /run/a ~2775 0 0 ~bm:10d"),
        &line("L+ /usr/local/bin/a - - - - /opt/a"),
        &line("r! /var/lib/a/lock"),
        "swap: {file: 2G, zram: {}}",
        "swap: {zram: {memory_percent: 100, algorithm: lz4, priority: 5}}",
    ]);
}
