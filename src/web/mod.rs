//! FACE. The web: pages for people, an API in the documents of the command line, live events, and
//! metrics.
//!
//! ```text
//! tenure web, tenure work --web
//!   └─ thread `web` (server): one runtime, a task for each connection
//!        ├─ guard      host, origin, token, session       pure
//!        ├─ serve      request -> Asked -> Answer
//!        ├─ pace       how much of the processors long answers have
//!        ├─ reply      Answer -> response, within the room for answers
//!        │    └─ threads `web-file`, at most four: routes, each a function of the file
//!        └─ live, hub  one thread that follows the changes, for all clients
//! ```
//!
//! * A route is a row of a table (`route`, `routes`): the server, and the test of `openapi.json`,
//!   go through the same table.
//! * SQLite is asked on the threads for that alone, and nothing waits for a client there: what is
//!   answered is complete, or read again piece by piece (`body`).
//! * Each limit has a name (`limits`); what is over it is turned away, and the worker does not
//!   notice. The threads run less often than jobs do (a niceness), and long answers, of which
//!   clients may ask for many, wait while others need the processors (`pace`).
//! * What the API shows of a job is JSON, or bytes of a log as plain text: no answer of it is
//!   markup, and each forbids a browser to take it for that. Pages are views of those documents
//!   ([`page`]).
//! * Tokens and sessions are compared in constant time, and are in no log, answer or metric.
//!
//! Deliberately absent: settings and printing (`cli`), and any decision about a job.

mod address;
mod app;
mod body;
mod guard;
mod hub;
mod limits;
mod live;
mod log;
mod metrics;
mod pace;
mod page;
mod problem;
mod query;
mod recent;
mod reply;
mod route;
mod routes;
mod serve;
mod server;
mod stall;
mod thread;
mod token;

pub(crate) use address::{Address, SocketFile};
pub(crate) use app::Setup;
pub(crate) use guard::Rules;
pub(crate) use limits::Patience;
pub(crate) use server::{Bound, listen};
pub(crate) use token::of_file as token;
