//! tenure: parse, log, dispatch, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    // First of all: this process may have been started to be the spawner, which must stay single-threaded.
    tenure::run::spawner::main_if_spawner();
    // Under a service manager times are the journal's; RUST_LOG asks for more or less.
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).format_target(false).init();
    ExitCode::from(tenure::cli::main(std::env::args_os()))
}
