//! The rules behind the schema: what they refuse, with place and words; and what they let pass.

use crate::common::{KEY_BLOB, LEAST, check, problems};

/// Fragments on top of the smallest machine file (so they begin in line 5), with words that the problem must have.
pub fn refused(cases: &[(&str, &str)]) {
    let mut wrong = Vec::new();
    for (fragment, words) in cases {
        let found = problems(&format!("{LEAST}{fragment}\n"));
        if !found.lines().any(|line| line.starts_with("5:") && line.contains(words)) || found.lines().count() != 1 {
            wrong.push(format!("{fragment}\n  wanted: {words}\n  found: {found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

pub fn accepted(cases: &[&str]) {
    for fragment in cases {
        assert_eq!(problems(&format!("{LEAST}{fragment}\n")), "", "{fragment}");
    }
}

pub fn warnings(fragment: &str) -> String {
    let checked = check(&format!("{LEAST}{fragment}\n")).unwrap_or_else(|problems| panic!("{fragment}: {problems}"));
    checked.warnings.iter().map(|warning| format!("{warning}\n")).collect()
}

#[test]
fn host_names() {
    let long = "a".repeat(64);
    for name in ["-x", "x-", "a..b", "a_b", "\"a b\"", "\"\"", ".a", "a.", "ä", "10.0.0.1", "localhost", &long] {
        let found = problems(&LEAST.replace("least", name));
        assert!(found.starts_with("2:11: ") && found.lines().count() == 1, "{name}: {found}");
    }
    for name in ["a", "a1", "1a", "web-1.example.org", &"a".repeat(63)] {
        assert_eq!(problems(&LEAST.replace("least", name)), "", "{name}");
    }
}

#[test]
fn debian_sources() {
    let source = |source: &str| problems(&LEAST.replace("{debian: {}}", &format!("{{debian: {{{source}}}}}")));
    for (text, words) in [
        ("suite: bookworm", "too old for a machine"),
        ("suite: Trixie", "not the name of a suite"),
        ("suite: trixie/main", "not the name of a suite"),
        ("packages: [Vim]", "`vim`"),
        ("packages: [v]", "not the name of a package"),
        ("packages: [vim=2]", "leave the version out"),
        ("packages: [vim-]", "means \"remove\""),
        ("packages: ['vim:amd64']", "leave the architecture out"),
        ("packages: [./vim.deb]", "in the archive"),
        ("packages: ['vim nano']", "one package in each item"),
        ("components: []", "there are no components"),
        ("components: [main, contirb]", "did you mean `contrib`?"),
        ("components: [main, main]", "listed twice"),
        ("kernel: linux-image-arm64", "not a kernel for x86-64"),
        ("mirror: mirror.example.org/debian", "not a URI"),
        ("mirror: ftp://mirror.example.org/debian", "scheme that is not supported"),
        ("mirror: 'https://'", "names no host"),
        ("mirror: https://me:secret@mirror/debian", "user name or a password"),
        ("mirror: file:debian", "no absolute path"),
        ("mirror: file:///srv/../debian", "no absolute path"),
        ("mirror: deb http://x y main", "only the URI"),
    ] {
        let found = source(text);
        assert!(found.starts_with("3:") && found.contains(words) && found.lines().count() == 1, "{text}: {found}");
    }
    for good in [
        "packages: [g++, libstdc++6, 0ad, linux-image-amd64]",
        "mirror: http://mirror.example.org/debian",
        "mirror: copy:///srv/debian",
        "mirror: file:/srv/debian",
        "components: [main, contrib, non-free, non-free-firmware]",
        "suite: trixie-backports",
    ] {
        assert_eq!(source(good), "", "{good}");
    }
}

#[test]
fn boot_and_kernel() {
    refused(&[
        ("boot: {kernel_parameters: [root=/dev/sda1]}", "cannot be set here"),
        ("boot: {kernel_parameters: [console=ttyS0]}", "use `boot.consoles`"),
        ("boot: {kernel_parameters: ['a b']}", "has a blank"),
        ("boot: {kernel_parameters: [\"a\\nb\"]}", "a line break in it"),
        ("boot: {kernel_parameters: ['a=\"b\"']}", "has the character '\"'"),
        ("boot: {kernel_parameters: ['a\\b']}", "has the character"),
        ("boot: {kernel_parameters: [ä=1]}", "has the character"),
        ("boot: {kernel_parameters: ['']}", "`name` or `name=value`"),
        ("boot: {kernel_parameters: [=1]}", "`name` or `name=value`"),
        ("boot: {consoles: [console=ttyS0]}", "write `ttyS0`"),
        ("boot: {consoles: [/dev/tty0]}", "write `tty0`"),
        ("boot: {consoles: ['ttyS0,fast']}", "not a console"),
        ("boot: {consoles: [ttyS0, 'ttyS0,9600']}", "listed twice"),
        ("sysctl: {ip_forward: 1}", "not the name of a kernel setting"),
        ("sysctl: {../x: 1}", "not the name of a kernel setting"),
        ("sysctl: {net.a: 1, net/a: 2}", "the same setting"),
        ("sysctl: {net.a: \"1\\n2\"}", "one line"),
        ("kernel_modules: {load: [foo.ko]}", "without `.ko`"),
        ("kernel_modules: {load: ['foo a=1']}", "/etc/modprobe.d"),
        ("kernel_modules: {load: [a-b], blacklist: [a_b]}", "asked for as well"),
    ]);
    let long: Vec<String> = (0..200).map(|i| format!("parameter{i}")).collect();
    refused(&[(&format!("boot: {{kernel_parameters: [{}]}}", long.join(", ")), "more than 1500")]);
    accepted(&[
        "boot: {kernel_parameters: [quiet, panic=-1, 'a.b=c,d:e', 'x={}$&|;<>'], consoles: [tty0, 'ttyS1,9600n8r', hvc0]}",
        "boot: {consoles: []}",
        "sysctl: {net.ipv4.conf.*.rp_filter: 1, net/ipv4/conf/eth0.1/rp_filter: 2}",
    ]);
}

const HASH: &str = "grub.pbkdf2.sha512.10000.\
    0011223344556677889900112233445566778899001122334455667788990011.\
    AABBCCDDEEFF00112233445566778899AABBCCDDEEFF00112233445566778899";

#[test]
fn the_boot_menu() {
    let grub = |more: &str| format!("boot: {{loader: grub, {more}}}");
    refused(&[
        ("boot: {loader: lilo}", "it is one of systemd-boot, grub"),
        ("boot: {loader: grub, console_mode: max}", "a setting of systemd-boot"),
        ("boot: {loader: grub, device_tree: board.dtb}", "hands no device tree"),
        ("boot: {device_tree: ''}", "the path is empty"),
        ("boot: {console_mode: 3}", "it is one of keep, auto, max, 0, 1, 2"),
        ("boot: {secure_boot: true}", "it is one of none, shim"),
        ("boot: {secureBoot: shim}", "`secure_boot`"),
        ("boot: {secure_boot: own}", "it is one of none, shim"),
        ("boot: {secure_boot: {}}", "`keys` is missing"),
        ("boot: {secure_boot: {keys: shim}}", "the only one so far is own"),
        ("boot: {secure_boot: {keys: own, enroll: now}}", "the keys here are keys"),
        (&grub("secure_boot: {keys: own}"), "only systemd-boot starts"),
        ("boot: {timeout: 3601}", "from 0 to 3600"),
        ("boot: {tries: 10}", "from 0 to 9"),
        ("boot: {deadline: 5}", "from 30 to 86400"),
        ("boot: {menu: shwon}", "did you mean `shown`?"),
        ("boot: {checks: [{name: a, command: b}, {name: a, command: c}]}", "another check is called `a`"),
        ("boot: {checks: [{name: '', command: b}]}", "one line that is not empty"),
        ("boot: {checks: [{name: a, command: ' '}]}", "the command is empty"),
        ("boot: {kernel_parameters: [cairn.trial]}", "cannot be set here"),
        ("boot: {kernel_parameters: [cairn.generation=3]}", "cannot be set here"),
        (&format!("boot: {{password_hash: {HASH}}}"), "is a feature of GRUB"),
        ("boot: {remember: true}", "only GRUB remembers what was chosen"),
        (&grub(&format!("editor: true, password_hash: {HASH}")), "keep one of the two"),
        (&grub("password_hash: secret"), "this is not the hash of a password"),
        (&grub("password_hash: $6$salt$IxDD3jeSOb5eB1CX5LBsqZFVkJd"), "a hash for a login"),
        (&grub("password_hash: grub.pbkdf2.sha256.10000.00.11"), "SHA-512"),
        (&grub(&format!("password_hash: {}", &HASH[..HASH.len() - 1])), "damaged or cut off"),
        (&grub("password_hash: grub.pbkdf2.sha512.10000.00"), "four parts"),
        (&grub(&format!("password_hash: {}", HASH.replace("10000", "0"))), "number of rounds"),
        (&grub(&format!("password_hash: {}", HASH.replace("10000", "+9000"))), "not a plain number"),
        (&grub(&format!("password_hash: {}", HASH.replace("AABB", "AAXY"))), "hexadecimal"),
    ]);
    accepted(&[
        "boot: {menu: hidden, timeout: 0, tries: 0, console_mode: 2, device_tree: board.dtb, editor: true, memtest: true, nvram: true}",
        "boot: {checks: [{name: the web server answers, command: curl localhost}], deadline: 30, watchdog: false}",
        "boot: {secure_boot: shim, nvram: true}",
        "boot: {secure_boot: {keys: own}, nvram: true}",
        &grub("secure_boot: shim"),
        &grub(&format!("remember: true, password_hash: {HASH}, firmware_setup: false, other_systems: false")),
    ]);
    let bios = |boot: &str| problems(&format!("{}boot: {{loader: grub, {boot}}}\n", LEAST.replace("uefi", "bios")));
    assert!(bios("nvram: true").starts_with("5:29: there are no UEFI variables"), "{}", bios("nvram: true"));
    let shim = bios("secure_boot: shim");
    assert!(shim.starts_with("5:35: Secure Boot is UEFI's"), "{shim}");
    assert_eq!(bios("secure_boot: none"), "");
    assert!(bios("entries: {shell: {efi: shell.efi}}").contains("starts no EFI program"));
    assert_eq!(bios("entries: {old: {linux: old/vmlinuz}}"), "");
}

#[test]
fn entries_of_the_boot_menu() {
    let entry = |text: &str| format!("boot: {{entries: {{other: {{{text}}}}}}}");
    refused(&[
        ("boot: {entries: {Other: {efi: a.efi}}}", "not a name for an entry"),
        ("boot: {entries: {a+3: {efi: a.efi}}}", "not a name for an entry"),
        ("boot: {entries: {cairn-1: {efi: a.efi}}}", "Cairn's"),
        ("boot: {entries: {auto-windows: {efi: a.efi}}}", "systemd-boot's"),
        (&entry(""), "the entry boots nothing"),
        (&entry("efi: a.efi, linux: b"), "both `efi` and `linux`"),
        (&entry("efi: a.efi, initrd: [b]"), "belongs to a kernel"),
        (&entry("linux: a, initrd: b"), "write `initrd: [b]`"),
        (&entry("efi: /EFI/a.efi"), "write `EFI/a.efi`"),
        (&entry("linux: /boot/vmlinuz"), "write `vmlinuz`"),
        (&entry("efi: 'EFI\\a.efi'"), "write `EFI/a.efi`"),
        (&entry("efi: EFI/../a.efi"), "has `..` in it"),
        (&entry("efi: ''"), "the path is empty"),
        (&entry("linux: cairn/1a2b3c4d/x-linux"), "comes and goes"),
        (&entry("linux: a, initrd: [b, c//d]"), "not a plain path"),
        (&entry("efi: a.efi, title: ''"), "one line"),
        (&entry("efi: a.efi, title: \"a\\nlinux b\""), "one line"),
        (&entry("efi: a.efi, title: '\"a\"'"), "a quote"),
        (&entry(&format!("efi: a.efi, title: {}", "x".repeat(71))), "more than 70"),
        (&entry("linux: a, options: [a b]"), "has a blank"),
        (&entry("linux: a, options: ['a\"b']"), "has the character"),
        (&entry("efi: a, options: [\"'\"]"), "has the character"),
    ]);
    accepted(&[
        &entry(
            "title: 'Ein anderes System \u{2014} $x {y}', linux: a b/vmlinuz, initrd: [a/i.img], options: [root=/dev/sda1, ro]",
        ),
        "boot: {entries: {0-shell_x: {efi: EFI/Microsoft/Boot/bootmgfw.efi}}}",
    ]);
}

#[test]
fn files_on_the_boot_partition() {
    let file = |path: &str| format!("boot: {{files: {{{path:?}: {{text: a}}}}}}");
    refused(&[
        (&file("/EFI/a.efi"), "write `EFI/a.efi`"),
        (&file("EFI/../a"), "has `..` in it"),
        (&file("a/"), "not a plain path"),
        (&file("a//b"), "not a plain path"),
        (&file("./a"), "not a plain path"),
        (&file("a\\b"), "write `a/b`"),
        (&file("a:b"), "has the character ':'"),
        (&file("a?"), "has the character '?'"),
        ("boot: {files: {\"a\\x01\": {text: a}}}", "has the character"),
        (&file("\u{e4}"), "has the character"),
        (&file("a."), "ends with a blank or a dot"),
        (&file("a /b"), "ends with a blank or a dot"),
        (&file(" a"), "begins with a blank"),
        (&file(&"x".repeat(256)), "too long"),
        (&file("cairn/x"), "Cairn's own"),
        (&file("Cairn"), "Cairn's own"),
        (&file("loader/entries/a.conf"), "use `boot.entries`"),
        (&file("LOADER/Entries/cairn-1.conf"), "use `boot.entries`"),
        (&file("loader/loader.conf"), "use `boot.timeout`"),
        (&file("loader/random-seed"), "the boot loader's own"),
        (&file("efi/boot/bootx64.EFI"), "the boot loader's own"),
        (&file("EFI/systemd/a"), "the boot loader's own"),
        (&file("EFI/cairn-1a2b3c4d/grubx64.efi"), "the boot loader's own"),
        (&file("EFI"), "it is a folder"),
        (&file("efi/tools/a"), "the folder `efi` is written `EFI` elsewhere / write `EFI/tools/a`"),
        ("boot: {files: {A: {text: a}, a: {text: b}}}", "`A` and `a` are the same name on FAT"),
        ("boot: {files: {a: {text: a}, A/b: {text: b}}}", "`A` is a folder"),
        ("boot: {files: {a: {text: a}, a/b: {text: b}}}", "`a` is a file, so nothing can be in it"),
        ("boot: {files: {a/b: {text: a}, A/c: {text: b}}}", "the folder `a` is written `A` elsewhere"),
        ("boot: {files: {a: {}}}", "has no contents"),
        ("boot: {files: {a: {text: a, source: b}}}", "`text` and `source`"),
        ("boot: {files: {a: {source: ''}}}", "the path is empty"),
    ]);
    accepted(&[
        &file("EFI/tools/shell.efi"),
        &file("EFI/BOOT/other.efi"),
        &file("loader/keys/auto/db.auth"),
        "boot: {files: {a b/c.d: {source: ../x}, a b/e: {text: ''}, cairn.txt: {text: a}}}",
    ]);
}

#[test]
fn language_and_time() {
    refused(&[
        ("timezone: europe/berlin", "capitals"),
        ("timezone: ../../etc/passwd", "not the name of a time zone"),
        ("timezone: +02:00", "not the name of a time zone"),
        ("timezone: /UTC", "not the name of a time zone"),
        ("locale: {lang: de_DE}", "write `de_DE.UTF-8`"),
        ("locale: {lang: hi_IN}", "write `hi_IN.UTF-8`"),
        ("locale: {categories: {LC_TIME: sr_RS@latin}}", "write `sr_RS.UTF-8@latin`"),
        ("locale: {lang: de_DE.ISO-8859-1}", "does not use UTF-8"),
        ("locale: {lang: german.UTF-8}", "not the name of a locale"),
        ("locale: {categories: {LC_TIEM: C.UTF-8}}", "did you mean `LC_TIME`?"),
        ("locale: {categories: {LC_ALL: C.UTF-8}}", "set `locale.lang`"),
        ("keyboard: {layout: 'de de'}", "XKB"),
        ("keyboard: {options: [\"a\\\"b\"]}", "XKB"),
    ]);
    accepted(&[
        "timezone: America/Argentina/Buenos_Aires",
        "timezone: Etc/GMT+2",
        "locale: {lang: sr_RS.UTF-8@latin, categories: {LC_TIME: C.UTF-8}}",
        "locale: {lang: hi_IN.UTF-8, categories: {LC_TIME: en_IN.UTF-8, LC_PAPER: ca_ES.UTF-8@valencia}}",
        "keyboard: {layout: 'us,de', variant: 'intl,nodeadkeys', options: ['grp:alt_shift_toggle', 'compose:ralt']}",
    ]);
}

#[test]
fn users_and_groups() {
    let alice = |text: &str| format!("users: {{alice: {{{text}}}}}");
    refused(&[
        ("users: {Alice: {}}", "not a name for a user"),
        ("users: {1a: {}}", "not a name for a user"),
        ("users: {-a: {}}", "not a name for a user"),
        ("users: {nobody: {}}", "the system's own"),
        ("users: {backup: {uid: 1000}}", "`backup` is an account of Debian's own"),
        (&format!("users: {{{}: {{}}}}", "a".repeat(33)), "more than 32"),
        ("users: {a: {uid: 1000}, b: {uid: 1000}}", "the user `a` has the uid 1000 as well"),
        ("groups: {a: {gid: 1000}, b: {gid: 1000}}", "the group `a` has the gid 1000 as well"),
        ("groups: {root: {}}", "the system's own"),
        ("groups: {A: {}}", "not a name for a group"),
        ("groups: {a: {gid: 100}}", "below 1000"),
        ("users: {root: {uid: 5}}", "the uid of root is 0"),
        ("users: {root: {home: /home/root}}", "the home of root is /root"),
        (&alice("uid: 0"), "is root's"),
        (&alice("uid: 500"), "`system: true`"),
        (&alice("uid: 65534"), "reserved"),
        (&alice("uid: 4294967295"), "reserved"),
        (&alice("uid: 1000, system: true"), "not one of a system account"),
        (&alice("description: 'a:b'"), "cannot have `:`"),
        (&alice("groups: ['a b']"), "not the name of a group"),
        (&alice("shell: bash"), "not an absolute path"),
        (&alice("shell: /bin/../bash"), "has `..` in it"),
        (&alice("home: /"), "cannot be a home directory"),
        (&alice("home: /etc/alice"), "cannot be a home directory"),
        (&alice("home: /home//alice"), "`//`"),
        (&alice("hashed_password_file: ''"), "the path is empty"),
        (&alice("hashed_password_file: $6$abc$def"), "this is a password hash"),
        (&alice("ssh_authorized_keys: ['-----BEGIN OPENSSH PRIVATE KEY-----']"), "this is a private key"),
        (&alice("ssh_authorized_keys: [~/.ssh/id.pub]"), "the name of a file"),
        (&alice("ssh_authorized_keys: [ssh-dss AAAA]"), "DSA"),
        (&alice("ssh_authorized_keys: [ssh-ed25519 AAAA]"), "damaged or cut off"),
    ]);
    accepted(&[
        &format!("users: {{root: {{shell: /bin/sh, ssh_authorized_keys: [ssh-ed25519 {KEY_BLOB} a b]}}}}"),
        "users: {_a-b_1: {uid: 59999}, svc: {system: true, uid: 100, home: /nonexistent}}",
    ]);
}

#[test]
fn services() {
    let unit = |name: &str, text: &str| format!("services: {{units: {{{name}: {{text: {text:?}}}}}}}");
    refused(&[
        ("services: {enable: [ssh], disable: [ssh.service]}", "both enabled and disabled"),
        ("services: {enable: [a/b]}", "not the name of a unit"),
        ("services: {enable: [getty@.service]}", "is a template"),
        (&unit("web", "[Service]\nExecStart=/bin/true\n"), "write `web.service`"),
        (&unit("web.servcie", "[Service]\n"), "has no kind"),
        (&unit("ssh.service.d/override.conf", "[Service]\n"), "`services.drop_ins.ssh.service`"),
        (&unit("10-dummy.netdev", "[NetDev]\n"), "/etc/systemd/network/10-dummy.netdev"),
        (&unit("a.service", "[Unit] # the first\n"), "a comment stands on a line of its own"),
        (
            "services: {disable: [systemd-networkd]}\nnetwork: {interfaces: {eth0: {}}}",
            "sets up what `network.interfaces` says",
        ),
        (&unit("a b.service", "[Service]\n"), "not the name of a unit"),
        (&unit("cairn-a.service", "[Service]\nExecStart=/bin/true\n"), "are Cairn's own"),
        (&unit("a.service", ""), "no section"),
        (&unit("a.service", "ExecStart=/bin/true"), "before any section"),
        (&unit("a.service", "[Service]\nExecStart"), "neither"),
        (&unit("a.service", "[service]\nExecStart=/bin/true"), "write `[Service]` instead of `[service]`"),
        (&unit("a.service", "[Unit]\nDescription=a"), "no section [Service]"),
        (&unit("a.timer", "[Install]\nWantedBy=timers.target"), "no section [Timer]"),
        (&unit("a.service", "[Service]\nType=simple\n[Install]\nWantedBy=multi-user.target"), "no `ExecStart=`"),
        (&unit("a.service", "[Service]\nExecStart=/bin/true"), "nothing starts this unit"),
        (&unit("a.service", "[Service]\nExecStart=/bin/true\n[Install]\n"), "nothing starts this unit"),
        (&unit("a@.service", "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=x.target"), "without an instance"),
    ]);
    accepted(&[
        "services: {units: {a.service: {enable: false, text: \"[Service]\\nExecStart=/bin/true\"}}}",
        "services: {units: {a.service: {text: \"[Service]\\nExecStart=/bin/sh -c \\\\\\n  true\\n# x\\n\"}, \
         a.timer: {text: \"[Timer]\\nOnCalendar=daily\\n[Install]\\nWantedBy=timers.target\"}}}",
        "services: {enable: [getty@tty2.service, ssh.socket]}",
    ]);
}

#[test]
fn files() {
    let etc = |text: &str| format!("files: {{/etc/a: {{{text}}}}}");
    refused(&[
        ("files: {etc/a: {text: x}}", "write `/etc/a`"),
        ("files: {/usr/bin/a: {text: x}}", "outside /etc"),
        ("files: {/home/alice/a: {text: x}}", "outside /etc"),
        ("files: {/srv: {text: x}}", "outside /etc"),
        ("files: {/var/lib/cairn/boot.json: {text: x}}", "not a place for files of one's own"),
        ("files: {/srv/a b: {text: x}}", "has characters"),
        ("files: {/etcetera: {text: x}}", "outside /etc"),
        ("files: {/etc/../a: {text: x}}", "has `..` in it"),
        ("files: {/etc//a: {text: x}}", "not a plain path"),
        ("files: {/etc/a/: {text: x}}", "not a plain path"),
        ("files: {/etc: {text: x}}", "outside /etc"),
        ("files: {/etc/passwd: {text: x}}", "use `users`"),
        ("files: {/etc/fstab: {text: x}}", "use `disks`"),
        ("files: {/etc/hostname: {text: x}}", "use `hostname`"),
        ("files: {/etc/machine-id: {text: x}}", "the machine's own"),
        ("files: {/etc/ssh/ssh_host_rsa_key: {text: x}}", "its own host keys"),
        ("files: {/etc/cairn/machine.yaml: {text: x}}", "are Cairn's"),
        ("files: {/etc/sysctl.d/50-cairn.conf: {text: x}}", "are Cairn's"),
        ("files: {/etc/sysctl.d/90-machine.conf: {text: x}}", "use `sysctl`"),
        ("files: {/etc/a: {text: x}, /etc/a/b: {text: x}}", "`/etc/a` is a file"),
        (&etc(""), "has no contents"),
        (&etc("text: a, link: b"), "`text` and `link`"),
        (&etc("source: ''"), "the path is empty"),
        (&etc("link: /a, mode: '0600'"), "a link has no mode"),
        (&etc("text: a, mode: 0888"), "not a mode"),
        (&etc("text: a, mode: 0o644"), "not a mode"),
        (&etc("text: a, mode: 4755"), "setuid"),
        (&etc("text: a, mode: 0044"), "the owner could not read"),
        (&etc("text: a, user: 'a b'"), "not the name of a user"),
    ]);
    accepted(&[
        &etc("text: a, mode: 644"),
        &etc("source: ../x, mode: '0600', user: root, group: adm"),
        &etc("link: ../run/x"),
        "files: {/srv/www/index.html: {text: x, user: www-data}, /usr/local/bin/a: {source: a, mode: '0755'}, /root/a: {link: /srv}}",
        "files: {/etc/ssh/sshd_config: {text: x}, /etc/a b: {text: x}, /etc/ä: {text: x}}",
    ]);
}

#[test]
fn tests_of_the_machine() {
    refused(&[
        ("tests: [{name: a, command: b}, {name: a, command: c}]", "another test is called `a`"),
        ("tests: [{name: '', command: b}]", "one line that is not empty"),
        ("tests: [{name: a, command: ' '}]", "the command is empty"),
    ]);
}

#[test]
fn what_is_allowed_and_doubtful_is_a_warning() {
    for (fragment, words) in [
        ("", "nobody can log in"),
        ("users: {a: {}, b: {uid: 1001}}", "the uid of `a` depends"),
        ("users: {a: {groups: [wheel]}}", "no group `wheel`"),
        (
            &format!("users: {{a: {{ssh_authorized_keys: [ssh-ed25519 {KEY_BLOB}]}}}}"),
            "no SSH server is among the packages",
        ),
        ("files: {/etc/a: {text: x, mode: '0600'}}", "in the store as well"),
        ("network: {interfaces: {eth0: {dhcp: false}}}", "neither DHCP nor an address"),
        ("services: {enable: [ssh, ssh.service]}", "listed twice"),
        ("boot: {menu: wait, timeout: 5}", "whatever the timeout is"),
        ("boot: {tries: 0, checks: [{name: a, command: b}]}", "that fails its checks stays"),
        ("boot: {tries: 0, deadline: 60}", "no generation is on trial"),
        ("boot: {kernel_parameters: [panic=10, panic=0]}", "would stand still"),
        ("boot: {files: {EFI/Linux/a.efi: {text: a}}}", "lists what is in EFI/Linux by itself"),
        (&format!("boot: {{loader: grub, password_hash: {}}}", HASH.replace("10000", "10")), "10 rounds are few"),
    ] {
        assert!(warnings(fragment).contains(words), "{fragment}: {}", warnings(fragment));
    }
}

#[test]
fn password_hashes() {
    use cairn_machine::PasswordHashError as E;
    let hash = |text: &str| cairn_machine::password_hash(text.as_bytes()).map(str::to_owned);
    let sha = "$6$salt$IxDD3jeSOb5eB1CX5LBsqZFVkJdido3OUILO5Ifz5iwMuTS4XMS130MTSuDDl3aCI6WouIL9AjRbLCelDCy.g.";
    assert_eq!(hash(&format!("{sha}\n")).as_deref(), Ok(sha));
    assert_eq!(hash("$y$j9T$abcdefgh$0123456789012345678901234567890123456789012").map(|_| ()), Ok(()));
    assert_eq!(hash("!\n").as_deref(), Ok("!"));
    assert_eq!(hash("\n"), Err(E::Empty));
    assert_eq!(hash("secret"), Err(E::NotAHash));
    assert_eq!(hash("$ecret$is$short"), Err(E::NotAHash));
    assert_eq!(hash(&format!("{sha}\n{sha}\n")), Err(E::SeveralLines));
    assert_eq!(hash(&format!("alice:{sha}")), Err(E::NotAHash));
    assert_eq!(hash("$1$salt$qJH7.N4xYta3aEG/dfqo/0"), Err(E::Weak));
    assert_eq!(cairn_machine::password_hash(b"\xff"), Err(E::NotAHash));
}
