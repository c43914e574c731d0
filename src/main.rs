//! tenure: parse, log, dispatch, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    // First: this process may have been started as the spawner, which must stay single-threaded.
    tenure::init();
    tenure::run::signal::outlive_file_size_limit();
    tenure::cli::start_logging();
    ExitCode::from(tenure::cli::main(std::env::args_os()))
}
