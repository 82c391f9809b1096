//! Bad luck while a machine is installed: the command is ended at its steps, the disk fails, goes away, is too small, somebody else has
//! it. What is left is told, and the same command finishes afterwards, without a restart.

use anyhow::{Result, ensure};
use qemu_tests::hello::Hello;
use qemu_tests::{Cairn, Scenario, preload, workbench};

const NEEDS: &[&str] =
    &["linux.uml", "cc", "sfdisk", "sgdisk", "e2fsck", "mmdebstrap", "dmsetup", "python3", "strace", "zbarimg"];

pub const ENDED: Scenario = Scenario {
    name: "an installation that is ended at any of its steps is finished by the next one",
    needs: NEEDS,
    run: ended,
};
pub const DISKS: Scenario = Scenario {
    name: "an installation onto a disk that fails, goes away, is too small or somebody else's",
    needs: NEEDS,
    run: disks,
};

const BYTES: u64 = 2 << 30;

/// `at WORDS SIGNAL COMMAND…`: the command gets a signal at the moment at which it says these words; `ended` is its exit code.
const BEGIN: &str = "
at() {
    local words=$1 signal=$2
    shift 2
    ended=0
    with \"$words\" $signal \"$@\" >/run/said 2>&1 || ended=$?
    echo \"== $signal at $words: $ended\"
    cat /run/said
}
with() {
    local words=$1 signal=$2
    shift 2
    AT_WORDS=$words AT_SIGNAL=$(kill -l $signal) LD_PRELOAD=LIBRARY \"$@\"
}
said() { grep -qF \"$*\" /run/said || { echo \"it does not say: $*\"; return 1; }; }
# The same command each time, but for the receipt's name. Earlier receipts would fill the memory.
again() {
    rm -f /run/r[0-9]*
    N=$(($(cat /run/n 2>/dev/null || echo 0) + 1)); echo $N >/run/n
    \"$@\" $CAIRN install MACHINE --disk $DISK --elsewhere --yes-erase BYTES --receipt /run/r$N
}
undo() { $CAIRN install --undo /run/r$(cat /run/n); }
# The old partition and the new ones with all that is cleared, but for the end of the last one.
sum() { { head -c 300M; dd bs=1M skip=1700 status=none; } </dev/ubda | sha256sum; }
# A system that is there.
old() { echo 'start=1MiB, size=64MiB' | sfdisk -q -X gpt $DISK; mkfs.ext4 -q ${DISK}1; }
# Checked by somebody else's programs.
sound() {
    sgdisk -v $DISK | tee /run/sound; grep -q 'No problems found' /run/sound
    fsck.fat -n ${DISK}1 && e2fsck -fn ${DISK}2
}
without_table() { ! sfdisk -d $DISK; }
";

const ENDED_AT: &str = "
DISK=/dev/ubda
old
# As it was, in words and in bytes, as long as there is time.
clean=$(sum)
again at 'claiming the disk' INT
[ $ended = 130 ]; said 'nothing was written to ubda'
[ \"$(sum)\" = \"$clean\" ]
again at 'clearing what' INT
[ $ended = 130 ]; said '/dev/ubda is as it was before'
[ \"$(sum)\" = \"$clean\" ]
exits 3 'has been undone already' undo
# Ended while it clears, by nothing that it hears of: the receipt brings it back.
again strace -qq -o /dev/null -e trace=ioctl -e inject=ioctl:signal=KILL:when=5 || [ $? = 137 ]
without_table
undo
[ \"$(sum)\" = \"$clean\" ]
again at 'writing root' INT
[ $ended = 130 ]; said 'starts nothing. Install again'
without_table
exits 3 'cannot be brought back' undo
MORE
again at 'writing the partition table' KILL
[ $ended = 137 ]
# The most memory that it takes, in KiB.
again python3 -c '
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(\"the most memory:\", peak, \"KiB\")
sys.exit(code or peak > 128 << 10)'
sound
";

fn ended(cairn: &Cairn) -> Result<()> {
    let steps = [
        "claiming the disk",
        "keeping what",
        "clearing what",
        "writing esp",
        "writing root",
        "waiting for the disk",
        "writing the partition table",
        "checking what",
    ];
    // Wherever it is ended, the next one goes on from there.
    let at = |step: &str, signal: &str| {
        format!("again at '{step}' {signal}\n[ $ended = CODE ]\n").replace(
            "CODE",
            match signal {
                "KILL" => "137",
                _ => "130",
            },
        )
    };
    let calls = ["pwrite64", "fsync", "ioctl", "flock", "openat"];
    let at_call = |call: &str, n: usize| {
        format!("again strace -qq -o /dev/null -e trace={call} -e inject={call}:signal=KILL:when={n} || [ $? = 137 ]\n")
    };
    let more: String = if std::env::var_os("CAIRN_WHOLE_TABLE").is_some() {
        let signals = steps.iter().flat_map(|step| ["INT", "KILL"].map(|signal| at(step, signal)));
        let numbers = |call| (0..6).map(move |n| at_call(call, 1 << n));
        signals.chain(calls.into_iter().flat_map(numbers)).collect()
    } else {
        at("writing root", "KILL")
    };
    let said = run(cairn, &ENDED_AT.replace("MORE", &more), &[BYTES])?;
    println!(
        "{}",
        said.lines()
            .filter(|line| line.starts_with("== ") || line.contains("the most memory"))
            .collect::<Vec<_>>()
            .join("\n")
    );
    Ok(())
}

const FAILING: &str = "
# Too small, and how much is missing.
DISK=/dev/ubdb
exits 3 'M are missing' again
# From the middle of the root file system on nothing can be written.
modprobe -a dm-mod dm-flakey
size=$(blockdev --getsz /dev/ubda)
good() { echo \"0 $size linear /dev/ubda 0\"; }
bad() {
    [ $1 = 0 ] || echo \"0 $1 linear /dev/ubda 0\"
    echo \"$1 $(($2 - $1)) $3\"
    echo \"$2 $((size - $2)) linear /dev/ubda $2\"
}
turn() { dmsetup suspend --noflush d; dmsetup load d; dmsetup resume --noudevsync d; }
good | dmsetup create d --noudevsync
sd /dev/dm-0
DISK=/dev/sda
old
bad 700000 900000 error | turn
exits 4 'error (os error 5): /dev/sda is unfinished: it has no partition table and starts nothing. Install again' again >/run/page
without_table
# All of it is on the page, in lines; the code is that of every such failure, and finds what is kept of it.
page() {
    cat /run/page
    for words in '^The installation has failed' '^Step  waiting for the disk' '^Said  .*error (os error 5)$' '^Cause A disk, or the medium,' \
        '^Disk  /dev/sda is unfinished' '^To do Try another port' '^Log   /var/lib/cairn/failures/'; do
        grep -q \"$words\" /run/page || { echo \"the page has no: $words\"; cat /run/page; return 1; } >&2
    done
    sed -n 's/^Code  //p' /run/page
}
page >/run/code1
first=$(tail -n 1 /run/code1)
bad 800000 900000 error | turn
exits 4 'error (os error 5)' again >/run/page
[ \"$(page | tail -n 1)\" = \"$first\" ]
[ \"$(stat -c %a /var/lib/cairn/failures/$first.txt)\" = 600 ]
grep -q '^cairn .*, waiting for the disk, EIO, bios [a-z]* 512$' /var/lib/cairn/failures/$first.txt
grep -q '^Step  waiting for the disk' /var/lib/cairn/failures/$first.txt
# On a screen there is a code for a camera beside it, which another program reads.
mkdir -p /dev/pts; mount -t devpts devpts /dev/pts
printf '%s\n' \"export LC_ALL=C.UTF-8 TERM=xterm; stty rows 24 cols 80; $CAIRN install MACHINE --disk $DISK --elsewhere --yes-erase BYTES --receipt /run/rx\" >/run/screen.sh
script -qec 'bash /run/screen.sh' /run/screen </dev/null >/dev/null && exit 1 || [ $? = 4 ]
python3 - /run/screen /run/code.pgm <<'END'
import re, sys
text = open(sys.argv[1], encoding='utf-8').read().replace('\\r', '')
page = text[text.rindex('The installation has failed'):].split('\\n')
rows = [line for line in page if any(c in line for c in '█▀▄')]
assert len(page) <= 26 and max(map(len, page[:len(rows)])) <= 80, page
at = min(min(line.find(c) for c in '█▀▄' if c in line) for line in rows)
grid = [line[at:] for line in rows]
width = max(map(len, grid))
light = lambda c, upper: c == '█' or c == ('▀' if upper else '▄')
dots = []
for line in grid:
    for upper in (True, False):
        row = [light(c, upper) for c in line.ljust(width)]
        dots += [bytes(200 if dot else 10 for dot in row for _ in range(8))] * 8
open(sys.argv[2], 'wb').write(b'P5 %d %d 255\\n' % (width * 8, len(dots)) + b''.join(dots))
END
zbarimg -q --raw -Sdisable -Sqrcode.enable /run/code.pgm | tee /run/code
grep -qF \"CAIRN $first \" /run/code
grep -q 'WAITING FOR THE DISK: EIO: BIOS [A-Z]* 512' /run/code
good | turn
again; sound
# The beginning of a partition that goes can be read, and not be cleared.
bad 2048 4096 'flakey /dev/ubda 2048 0 1 1 error_writes' | turn
exits 4 'error (os error 5): /dev/sda is cleared, and bringing it back failed' again
without_table
good | turn
undo
sound
# Another installation is busy with the disk; then it is gone.
again with 'writing root' STOP bash -c 'echo $$ >/run/pid; exec \"$@\"' - >/run/first 2>&1 & first=$!
until grep -q 'State:.*stopped' /proc/$(cat /run/pid)/status; do sleep 0.1; done
exits 3 'has locked /dev/sda' again
unplug sda
kill -CONT $(cat /run/pid)
ended=0; wait $first || ended=$?
cat /run/first
[ $ended = 4 ]
grep -q '^cairn: .*the disk is gone.*starts nothing. Install again' /run/first
# It is there again.
plug sda
without_table
again; sound
";

fn disks(cairn: &Cairn) -> Result<()> {
    let said = run(cairn, FAILING, &[BYTES, 300 << 20])?;
    ensure!(!said.is_empty());
    Ok(())
}

fn run(cairn: &Cairn, script: &str, sizes: &[u64]) -> Result<String> {
    let hello = Hello::get(cairn)?;
    let folder = tempfile::tempdir_in(&cairn.work)?;
    let file = hello.small(&folder.path().join("machine"))?;
    let disks: Vec<_> = (0..sizes.len()).map(|n| folder.path().join(format!("disk{n}"))).collect();
    disks.iter().zip(sizes).try_for_each(|(disk, bytes)| workbench::disk(disk, *bytes))?;
    let library = preload::library(&cairn.work, preload::AT_WORDS)?;
    let text = format!("{BEGIN}{script}").replace("MACHINE", &file.display().to_string());
    let text = text.replace("LIBRARY", &library.display().to_string());
    let paths: Vec<_> = disks.iter().map(std::path::PathBuf::as_path).collect();
    workbench::script(cairn, &paths, &text.replace("BYTES", &BYTES.to_string()))
}
