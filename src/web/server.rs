//! The thread of the server: accepts connections, each within its limits, and serves HTTP on them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Method as HttpMethod, Request, Uri};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter, on};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Builder;

use crate::error::{Error, Result};
use crate::web::address::{Address, Listening, SocketFile};
use crate::web::app::{App, Setup, Tally};
use crate::web::limits::{HEAD_BYTES_MAX, HEADERS_MAX, NICENESS, THREADS_MAX};
use crate::web::problem::Problem;
use crate::web::route::{Method, Route};
use crate::web::stall::Stalling;
use crate::web::{live, reply, routes, serve};

/// Pause after a connection could not be accepted, as when there are no more descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Stack of a thread that reads and writes the file, in bytes.
const STACK_BYTES: usize = 1 << 20;

/// An address at which the server listens; nothing is answered there yet.
pub struct Bound {
    listening: Listening,
    /// The port may have been chosen by the system.
    pub at: Address,
    /// To be removed when the server ends.
    pub file: Option<SocketFile>,
}

/// Listens at an address.
///
/// # Errors
/// It is in use or cannot be used.
pub fn listen(address: &Address) -> Result<Bound> {
    let (listening, at) = address.listen()?;
    Ok(Bound { listening, file: at.file(), at })
}

impl Bound {
    /// Serves a file, on a thread of its own, until this process ends.
    ///
    /// # Errors
    /// The file cannot be used, or no thread can be started.
    pub fn serve(self, db: &std::path::Path, setup: Setup) -> Result<()> {
        let app = Arc::new(App::new(db, setup)?);
        live::start(&app).map_err(|e| Error::io("starting the thread of live events", e))?;
        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .max_blocking_threads(THREADS_MAX)
            .thread_name("web-file")
            .thread_stack_size(STACK_BYTES)
            .build()
            .map_err(|e| Error::io("starting the web server", e))?;
        let serve = move || {
            // Jobs come first. Threads that it starts inherit this.
            let _as_before = rustix::process::nice(NICENESS);
            runtime.block_on(accept_all(app, self.listening));
        };
        let thread = thread::Builder::new().name("web".into()).spawn(serve);
        thread.map(drop).map_err(|e| Error::io("starting the thread of the web server", e))
    }
}

async fn accept_all(app: Arc<App>, listening: Listening) {
    let router = router(&app);
    let ended = match listening {
        Listening::Tcp(socket) => match tokio::net::TcpListener::from_std(socket) {
            Ok(socket) => loop {
                match socket.accept().await {
                    Ok((stream, _)) => {
                        let _slower = stream.set_nodelay(true);
                        take(&app, &router, stream);
                    }
                    Err(error) => pause(&error).await,
                }
            },
            Err(error) => error,
        },
        Listening::Unix(socket) => match tokio::net::UnixListener::from_std(socket) {
            Ok(socket) => loop {
                match socket.accept().await {
                    Ok((stream, _)) => take(&app, &router, stream),
                    Err(error) => pause(&error).await,
                }
            },
            Err(error) => error,
        },
    };
    log::error!("the web server cannot listen: {ended}");
}

async fn pause(error: &io::Error) {
    log::warn!("a connection of the web server was not accepted: {error}");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

/// Returns how long a client may take for a head. Where few places are left, those that say nothing
/// do not keep the others out.
fn head_patience(patience: Duration, connections: usize, most: usize) -> Duration {
    if connections >= most - most / 4 { patience / 10 } else { patience }
}

/// Serves a connection, or closes it if there are too many.
fn take<T: AsyncRead + AsyncWrite + Unpin + Send + 'static>(app: &Arc<App>, router: &Router, stream: T) {
    let connections = &app.tally.connections;
    if connections.load(Ordering::Relaxed) >= app.connections_max {
        Tally::count(&app.tally.turned_away);
        return;
    }
    let before = connections.fetch_add(1, Ordering::Relaxed);
    let head = head_patience(app.setup.patience.head, before, app.connections_max);
    let (app, router) = (Arc::clone(app), router.clone());
    tokio::spawn(async move {
        let patience = app.setup.patience;
        let stream = TokioIo::new(Stalling::new(stream, patience.stall));
        let mut http = http1::Builder::new();
        // It may be the time between two requests too: a proxy must not rely on a short one.
        http.keep_alive(head == patience.head);
        http.timer(TokioTimer::new()).header_read_timeout(head).max_buf_size(HEAD_BYTES_MAX).max_headers(HEADERS_MAX);
        // How a client ends its connection does not matter to the server.
        let _ended = http.serve_connection(stream, TowerToHyperService::new(router)).await;
        app.tally.connections.fetch_sub(1, Ordering::Relaxed);
    });
}

/// Returns all routes behind the guard.
fn router(app: &Arc<App>) -> Router {
    let mut router: Router<Arc<App>> = Router::new();
    let mut paths: Vec<&str> = routes::all().map(|route| route.path).collect();
    paths.sort_unstable();
    paths.dedup();
    for path in paths {
        let of_path = routes::all().filter(|route| route.path == path);
        router = router.route(path, of_path.fold(MethodRouter::new(), |methods, route| methods.merge(serving(route))));
    }
    let guarded = router
        .fallback(|State(app): State<Arc<App>>, request: Request<Body>| async move {
            let base = &app.setup.base;
            let problem = Problem::not_found(format!("there is nothing at this path; {base}/api/v1/openapi.json lists all"));
            reply::refused(&app, serve::is_for_a_person(&request), &problem)
        })
        .method_not_allowed_fallback(|State(app): State<Arc<App>>, request: Request<Body>| async move {
            let problem = Problem::new(405, "method", "this path does not have that method");
            reply::refused(&app, serve::is_for_a_person(&request), &problem)
        })
        .layer(middleware::from_fn_with_state(Arc::clone(app), guard))
        .with_state(Arc::clone(app));
    // Around the routing, so that it may take the base path away first.
    Router::new().fallback_service(guarded).layer(middleware::from_fn_with_state(Arc::clone(app), without_base))
}

fn serving(route: &'static Route) -> MethodRouter<Arc<App>> {
    let filter = match route.method {
        Method::Get => MethodFilter::GET,
        Method::Post => MethodFilter::POST,
    };
    on(filter, move |State(app): State<Arc<App>>, request: Request<Body>| serve::route(app, route, request))
}

async fn guard(State(app): State<Arc<App>>, request: Request<Body>, next: Next) -> Response {
    Tally::count(&app.tally.requests);
    let path = request.uri().path();
    let is_open = routes::all().any(|route| route.is_open && route.path == path);
    match serve::admit(&app, &request, is_open) {
        Some(refusal) => refusal,
        None if !matches!(*request.method(), HttpMethod::GET | HttpMethod::HEAD | HttpMethod::POST) => {
            reply::failed(&Problem::new(405, "method", "this path does not have that method"))
        }
        None => next.run(request).await,
    }
}

/// Removes the path under which a reverse proxy shows the server.
async fn without_base(State(app): State<Arc<App>>, mut request: Request<Body>, next: Next) -> Response {
    let base = app.setup.base.as_str();
    if !base.is_empty() {
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        let rest = target.strip_prefix(base).filter(|rest| rest.starts_with('/'));
        let parts = rest.and_then(|rest| rest.parse().ok()).map(|rest| {
            let mut parts = request.uri().clone().into_parts();
            parts.path_and_query = Some(rest);
            parts
        });
        match parts.and_then(|parts| Uri::from_parts(parts).ok()) {
            Some(uri) => *request.uri_mut() = uri,
            None => {
                Tally::count(&app.tally.requests);
                if target == base && serve::is_for_a_person(&request) {
                    return reply::see(&app, "/");
                }
                let problem = Problem::not_found(format!("this server is at {base}/"));
                let elsewhere = || reply::refused(&app, serve::is_for_a_person(&request), &problem);
                return serve::admit(&app, &request, false).unwrap_or_else(elsewhere);
            }
        }
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_places_are_not_kept_by_those_that_say_nothing() {
        let long = Duration::from_secs(10);
        let patience = |connections, most| head_patience(long, connections, most);
        assert_eq!([0, 191].map(|n| patience(n, 256)), [long; 2]);
        assert_eq!([192, 255].map(|n| patience(n, 256)), [long / 10; 2]);
        assert_eq!(patience(0, 1), long);
    }
}
