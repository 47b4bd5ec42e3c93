//! Serves a folder over HTTP.

use super::{Ports, log, ports, server};
use crate::application::runner::{ServiceMaker, StartError, Status};
use crate::http::{self, Files, IntoReply, Record, Reply, Request, Resource, Site};
use crate::service::Running;
use crate::{Result, ServerEndpoint};
use bpaf::{Parser, construct, long};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

/// What the command line says.
struct Web {
    at: Vec<ServerEndpoint>,
    path: PathBuf,
    has_listing: bool,
    has_dotfiles: bool,
    has_status: bool,
    /// Asked by who comes from twistd.
    _notracebacks: bool,
}

/// `web --path DIR --port ENDPOINT`: serves the files below a folder, at the loopback's port 8080 unless told;
/// TLS by an endpoint, as in `--port tls:/etc/certs:443`.
///
/// Each request is a line of the log. With `--status` the paths `/live` and `/ready` say how the program is:
/// ready until it drains. What goes wrong in a handler is never shown to a peer, so twistd's `--notracebacks`
/// has nothing to do.
///
/// ```
/// assert_eq!(ropewalk::application::commands::web().name(), "web");
/// ```
#[doc(alias = "twistd web")]
pub fn web() -> ServiceMaker {
    let at = ports();
    let path = long("path").help("Serve the files below this folder; the current one unless told");
    let path = path.argument::<PathBuf>("DIR").fallback(PathBuf::from("."));
    let has_listing = long("listing").help("Show what is in a folder without an index").switch();
    let has_dotfiles = long("dotfiles").help("Serve names that begin with a dot").switch();
    let has_status = long("status").help("Answer at /live and /ready").switch();
    let _notracebacks = long("notracebacks").help("As it always is").switch().hide();
    let options =
        construct!(Web { at, path, has_listing, has_dotfiles, has_status, _notracebacks });
    ServiceMaker::new("web", "Serve files over HTTP", options, |web: Web| {
        let mut at = web.at.clone();
        if at.is_empty() {
            at.push(server("tcp:8080:interface=127.0.0.1").map_err(crate::Failure::msg)?);
        }
        let files = web.files()?;
        Ok(Ports::new("web", at, move |up, at| up.listen(at, web.site(up, files.clone()))))
    })
}

impl Web {
    fn files(&self) -> Result<Files> {
        let files = Files::new(&self.path)
            .map_err(|error| StartError::new(Status::Configuration, error.to_string()))?;
        let files = files.keep_open(1000, Duration::from_secs(1));
        let files = if self.has_listing { files.listing() } else { files };
        Ok(if self.has_dotfiles { files.dotfiles() } else { files })
    }

    fn site(&self, up: &Running, files: Files) -> Site {
        let requests = log(up);
        let site = match self.has_status {
            true => Site::new(WithStatus { up: up.clone(), others: Rc::new(files) }),
            false => Site::new(files),
        };
        site.on_exchange(move |record: &Record<'_>| requests.info(record.combined()))
    }
}

/// Says how the program is, beside what else there is.
struct WithStatus {
    up: Running,
    others: Rc<dyn Resource>,
}

impl Resource for WithStatus {
    fn is_leaf(&self) -> bool {
        true
    }

    fn render(&self, request: &Request) -> Result<Reply> {
        match request.path() {
            "/live" => Ok("live\n".into_reply()),
            "/ready" if self.up.is_ready() => Ok("ready\n".into_reply()),
            "/ready" => Ok((http::Status::SERVICE_UNAVAILABLE, "not ready\n").into_reply()),
            _ => request.render_by(&self.others),
        }
    }
}
