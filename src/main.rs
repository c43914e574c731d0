//! tenure: parse, dispatch, exit code.

fn main() {
    // First of all: this process may have been started to be the spawner, which must stay single-threaded.
    tenure::run::spawner::main_if_spawner();
}
