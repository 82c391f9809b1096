//! The first program of a guest that is recorded; see `qemu_tests::replay::guest`.

fn main() {
    qemu_tests::replay::guest::main();
}
