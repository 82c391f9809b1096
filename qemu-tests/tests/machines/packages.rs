//! What people put on a machine: packages in sets of what goes together, each started, used for its one thing, restarted and used again. No
//! unit fails on such a machine.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use qemu_tests::cairn::repository;
use qemu_tests::scenario::UML;
use qemu_tests::{Cairn, Guest, Scenario, Setup};

/// What every run has: partitions below /var, a time service in the place of the usual one, a folder in /srv, keys of a machine's own.
pub const CHOSEN: &[Scenario] = &[Scenario {
    name: "packages: a database and logs on partitions of their own, chrony, a TFTP server, MUNGE",
    needs: UML,
    run: |cairn| run(cairn, &STATE),
}];

/// The rest of the table.
pub const REST: &[Scenario] = &[
    Scenario { name: "packages: databases and brokers", needs: UML, run: |cairn| run(cairn, &DATABASES) },
    Scenario {
        name: "packages: web servers, proxies and what runs behind them",
        needs: UML,
        run: |cairn| run(cairn, &WEB),
    },
    Scenario { name: "packages: names, files and mail", needs: UML, run: |cairn| run(cairn, &NETWORK) },
    Scenario { name: "packages: what looks after a system", needs: UML, run: |cairn| run(cairn, &SYSTEM) },
];

/// A machine, and what its packages are for.
struct Set {
    /// Its host name.
    name: &'static str,
    packages: &'static [&'static str],
    /// More of its machine file.
    more: &'static str,
    /// By package: a command that uses it, and ends well where it does its work.
    uses: &'static [(&'static str, &'static str)],
}

const PLAIN: &str = "disks: {main: {layout: uefi, free: 2G}}\n";

const STATE: Set = Set {
    name: "state",
    packages: &["postgresql", "chrony", "tftpd-hpa", "tftp-hpa", "munge", "nginx-light", "wireshark-common"],
    more: "\
disks:
  main:
    free: 1G
    partitions:
      - {type: esp}
      - {type: data, mount_point: /var/lib/postgresql, size: 600M}
      - {type: data, mount_point: /var/log, size: 300M}
      - {type: root}
files:
  /etc/tftp-test: {text: x}
",
    uses: &[
        ("postgresql", SQL),
        (
            "the logs' partition",
            "mountpoint -q /var/log && test -s /var/log/postgresql/*main.log && test -f /var/log/nginx/access.log",
        ),
        ("chrony", "systemctl is-active chrony && chronyc -n tracking && ! test -e /usr/lib/systemd/systemd-timesyncd"),
        ("tftpd-hpa", "echo hi >/srv/tftp/x && cd /tmp && tftp 127.0.0.1 -c get x && grep -q hi x"),
        ("munge", "munge -n | unmunge | grep -q Success"),
        ("wireshark-common", "getent group wireshark"),
    ],
};

const SQL: &str = "su postgres -c \"psql -qtc 'create table if not exists t(a int)' -c 'insert into t values (1)' -c 'select count(*) from t'\" \
                   | grep -q BOOT";

const DATABASES: Set = Set {
    name: "databases",
    packages: &[
        "postgresql",
        "mariadb-server",
        "redis-server",
        "memcached",
        "netcat-openbsd",
        "rabbitmq-server",
        "mosquitto",
        "mosquitto-clients",
        "slapd",
        "ldap-utils",
        "sqlite3",
    ],
    more: PLAIN,
    uses: &[
        ("postgresql", SQL),
        (
            "mariadb-server",
            "mariadb -Ne 'create database if not exists x; create table if not exists x.t(a int); insert into x.t values (1); \
             select count(*) from x.t' | grep -q BOOT",
        ),
        ("redis-server", "redis-cli incr x | grep -q BOOT && redis-cli save"),
        (
            "memcached",
            "printf 'set a 0 60 1\\r\\nb\\r\\nget a\\r\\nquit\\r\\n' | nc -q1 127.0.0.1 11211 | grep -q VALUE",
        ),
        ("rabbitmq-server", "rabbitmqctl -q list_queues && rabbitmqctl -q status | grep -q RabbitMQ"),
        ("mosquitto", "mosquitto_pub -r -t a -m hi && timeout 60 mosquitto_sub -t a -C 1 | grep -q hi"),
        ("slapd", "ldapsearch -x -H ldap://localhost -b '' -s base namingContexts | grep -q nodomain"),
        (
            "sqlite3",
            "sqlite3 /var/lib/x.db 'create table if not exists t(a); insert into t values (1); select count(*) from t' | grep -q BOOT",
        ),
    ],
};

const WEB: Set = Set {
    name: "web",
    packages: &[
        "nginx",
        "apache2",
        "lighttpd",
        "haproxy",
        "squid",
        "varnish",
        "php-fpm",
        "tomcat10",
        "uwsgi",
        "memcached",
        "curl",
        "certbot",
        "gunicorn",
    ],
    more: "\
disks: {main: {layout: uefi, free: 2G}}
files:
  /etc/apache2/ports.conf: {text: \"Listen 8081\\n\"}
  /etc/lighttpd/conf-enabled/99-port.conf: {text: \"server.port := 8082\\n\"}
  /etc/haproxy/haproxy.cfg:
    text: |
      defaults
          mode http
          timeout connect 5s
          timeout client 9s
          timeout server 9s
      listen all
          bind 127.0.0.1:8083
          server one 127.0.0.1:80
",
    uses: &[
        ("nginx", "curl -fs http://127.0.0.1/ | grep -qi nginx"),
        ("apache2", "curl -fs http://127.0.0.1:8081/ >/dev/null"),
        ("lighttpd", "curl -fs http://127.0.0.1:8082/ >/dev/null"),
        ("haproxy", "curl -fs http://127.0.0.1:8083/ | grep -qi nginx"),
        ("squid", "curl -fs -x http://127.0.0.1:3128 http://127.0.0.1/ | grep -qi nginx"),
        ("varnish", "varnishadm ping"),
        ("php-fpm", "ls /run/php/*.sock"),
        ("tomcat10", "timeout 240 sh -c 'until curl -fs http://127.0.0.1:8080/ | grep -qi works; do sleep 2; done'"),
        ("certbot", "systemctl is-active certbot.timer"),
    ],
};

const NETWORK: Set = Set {
    name: "network",
    packages: &[
        "bind9",
        "bind9-dnsutils",
        "samba",
        "smbclient",
        "vsftpd",
        "openssh-server",
        "postfix",
        "bsd-mailx",
        "dovecot-imapd",
        "rsync",
        "ntpsec",
        "avahi-daemon",
        "snmpd",
        "curl",
        "open-iscsi",
        "dropbear-bin",
    ],
    more: PLAIN,
    uses: &[
        ("bind9", "dig @127.0.0.1 localhost +short | grep -q 127.0.0.1 && rndc status | grep -q running"),
        ("samba", "smbclient -NL //127.0.0.1 | grep -q print"),
        ("vsftpd", "curl -s ftp://127.0.0.1/ -u nobody:x; test $? = 67"),
        ("openssh-server", "ssh-keyscan -T 60 127.0.0.1 2>/dev/null | grep -q ssh-ed25519"),
        (
            "postfix",
            "echo hi | mail -s BOOT alice && timeout 120 sh -c 'until grep -q BOOT /var/mail/alice; do sleep 1; done'",
        ),
        (
            "postfix's name",
            "postconf -h myhostname | grep -q ^network && ! grep -rqs $(cat /etc/hostname)x /etc/mailname",
        ),
        ("dovecot-imapd", "printf 'a logout\\r\\n' | curl -s telnet://127.0.0.1:143 | grep -qi dovecot"),
        ("ntpsec", "systemctl is-active ntpsec && ntpq -pn >/dev/null"),
        ("avahi-daemon", "systemctl is-active avahi-daemon"),
        ("snmpd", "systemctl is-active snmpd"),
        ("open-iscsi", "grep -q InitiatorName=iqn /etc/iscsi/initiatorname.iscsi"),
    ],
};

const SYSTEM: Set = Set {
    name: "system",
    packages: &[
        "cron",
        "at",
        "logrotate",
        "rsyslog",
        "fail2ban",
        "unattended-upgrades",
        "etckeeper",
        "sysstat",
        "prometheus-node-exporter",
        "collectd-core",
        "monit",
        "needrestart",
        "lvm2",
        "mdadm",
        "curl",
        "zabbix-agent",
        "tmux",
        "man-db",
    ],
    more: PLAIN,
    uses: &[
        (
            "cron",
            "echo '* * * * * root touch /run/cron-BOOT' >/etc/cron.d/mine && timeout 150 sh -c 'until test -e /run/cron-BOOT; do sleep 1; done'",
        ),
        ("at", "echo touch /run/at | at now && timeout 150 sh -c 'until test -e /run/at; do sleep 1; done'"),
        ("logrotate", "logrotate -d /etc/logrotate.conf"),
        ("rsyslog", "logger hello-BOOT && sleep 1 && grep -q hello-BOOT /var/log/syslog"),
        ("fail2ban", "fail2ban-client ping | grep -q pong"),
        ("unattended-upgrades", "systemctl is-active unattended-upgrades"),
        ("etckeeper", "etckeeper vcs log -1 || etckeeper init"),
        ("sysstat", "sar -V >/dev/null"),
        ("prometheus-node-exporter", "curl -fs http://127.0.0.1:9100/metrics | grep -q node_load1"),
        ("monit", "systemctl is-active monit"),
        ("lvm2", "lvs"),
        ("zabbix-agent", "systemctl is-active zabbix-agent"),
        ("man-db", "man -w cairn"),
    ],
};

const LONG: Duration = Duration::from_secs(900);

fn run(cairn: &Cairn, set: &Set) -> Result<()> {
    let folder = tempfile::tempdir_in(&cairn.work)?;
    let image = build(cairn, set, folder.path())?;
    let setup = Setup::uml(&image).reboots();
    let mut guest = Guest::start(&setup)?;
    used(&mut guest, set, 1)?;
    guest.reboot()?;
    used(&mut guest, set, 2)?;
    guest.power_off()
}

/// Its image, of packages that are locked once.
fn build(cairn: &Cairn, set: &Set, folder: &Path) -> Result<std::path::PathBuf> {
    let file = folder.join(format!("{}.yaml", set.name));
    let text = format!(
        "version: 1\nhostname: {}\nsource:\n  debian:\n    packages: [sudo, {}]\n    debconf:\n      - wireshark-common \
         wireshark-common/install-setuid boolean true\n{}users:\n  cairn: {{groups: [sudo], hashed_password_file: hello.password}}\n  \
         alice: {{hashed_password_file: hello.password}}\n",
        set.name,
        set.packages.join(", "),
        set.more
    );
    fs::write(&file, text)?;
    fs::copy(repository().join("examples/hello.password"), folder.join("hello.password"))?;
    cairn.cmd(["lock"]).arg(&file).ok()?;
    let build = cairn.cmd(["build", "--format", "raw", "-o"]).arg(folder).arg(&file).deadline(LONG);
    build.ok()?.lines().next().map(Into::into).context("no image")
}

/// Everything is up and does its work; each of them is tried before anything is told.
fn used(guest: &mut Guest, set: &Set, boot: u32) -> Result<()> {
    guest.until("systemctl is-system-running | grep -qE 'running|degraded'", "it does not come up", LONG)?;
    guest.run("export SYSTEMD_COLORS=0")?;
    let (_, failed) = guest.ask("systemctl --failed --no-legend --plain")?;
    let mut wrong = Vec::new();
    for (package, command) in set.uses {
        let command = command.replace("BOOT", &boot.to_string());
        let (code, said) = guest.ask(&format!("( {command} )"))?;
        if code != 0 {
            wrong.push(format!("{package}: {command} ended with {code}: {said}"));
        }
    }
    for unit in failed.lines().filter_map(|line| line.split_whitespace().next()) {
        let (_, said) = guest.ask(&format!("systemctl status --no-pager -n 20 {unit}"))?;
        wrong.push(format!("{unit} has failed: {said}"));
    }
    if !wrong.is_empty() {
        bail!("boot {boot}:\n{}", wrong.join("\n\n"));
    }
    let state = guest.run("systemctl is-system-running")?;
    ensure!(state.trim() == "running", "the machine is {state}");
    Ok(())
}
