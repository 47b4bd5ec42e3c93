// What is answered of what was found.

use super::Shared;
use super::find::Served;
use super::listing::{self, Entry};
use super::pieces::{Piece, Pieces};
use super::range::{self, Asked};
use crate::failure::Result;
use crate::http::{Method, Outgoing, Precondition, Reply, Request, Response, Status};
use std::ops::Range;

/// A folder without its slash: links on its page would lead beside it.
pub(super) fn to_slash(request: &Request) -> Result<Reply> {
    let path = request.path();
    // Two slashes at the beginning name another host.
    if path.starts_with("//") {
        return Ok(Reply::Answer(Response::from(Status::NOT_FOUND)));
    }
    let query = request.target().query().map(|query| format!("?{query}")).unwrap_or_default();
    let response = Response::new(Status::MOVED_PERMANENTLY);
    Ok(Reply::Answer(response.header("Location", format!("{path}/{query}"))?))
}

pub(super) fn listing(path: &str, entries: Vec<Entry>) -> Result<Reply> {
    let title = format!("/{path}");
    let page = Response::from(listing::page(&title, entries))
        .header("Content-Type", "text/html; charset=utf-8")?
        .header("X-Content-Type-Options", "nosniff")?
        .header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")?;
    Ok(Reply::Answer(page))
}

pub(super) fn file(request: &Request, shared: &Shared, file: &Served) -> Result<Reply> {
    let (method, fields) = (request.method(), request.headers());
    match file.validators.check(method, fields) {
        Precondition::Failed => {
            return Ok(Reply::Answer(Response::from(Status::PRECONDITION_FAILED)));
        }
        Precondition::NotModified => {
            let response = Response::new(Status::NOT_MODIFIED);
            return Ok(Reply::Answer(described(response, shared, file)?));
        }
        Precondition::Holds => {}
    }
    let asked = match fields.get("range") {
        Some(range) if method == Method::Get => {
            let counts = file.validators.allow_range(fields, request.reactor().system_time());
            if counts { range::asked(range, file.length) } else { Asked::Whole }
        }
        _ => Asked::Whole,
    };
    let response = match asked {
        Asked::Whole => Response::from(part(file, 0..file.length)),
        Asked::Unsatisfiable => {
            let refusal = Response::from(Status::RANGE_NOT_SATISFIABLE);
            let refusal = refusal.header("Content-Range", format!("bytes */{}", file.length))?;
            return Ok(Reply::Answer(described(refusal, shared, file)?));
        }
        Asked::Parts(parts) => match &parts[..] {
            [one] => {
                let response = Response::from(part(file, one.clone()));
                let response = response.with_status(Status::PARTIAL_CONTENT);
                response.header("Content-Range", content_range(one, file.length))?
            }
            parts => return several(request, shared, file, parts),
        },
    };
    let response = response.header("Content-Type", file.kind)?;
    Ok(Reply::Answer(described(response, shared, file)?))
}

/// With what is said of the file, whatever of it is sent.
fn described(response: Response, shared: &Shared, file: &Served) -> Result<Response> {
    let mut response = response
        .header("ETag", &file.tag)?
        .header("Last-Modified", &file.modified)?
        .header("Accept-Ranges", "bytes")?;
    if let Some(coding) = file.coding {
        response = response.header("Content-Encoding", coding)?;
    }
    if file.varies {
        response = response.header("Vary", "Accept-Encoding")?;
    }
    if let Some(value) = &shared.cache_control {
        response = response.header("Cache-Control", value)?;
    }
    Ok(response)
}

fn part(file: &Served, part: Range<u64>) -> Outgoing {
    match &file.bytes {
        Some(all) => super::bytes(all, part),
        None => Outgoing::File(file.file.clone(), part),
    }
}

fn content_range(part: &Range<u64>, length: u64) -> String {
    format!("bytes {}-{}/{length}", part.start, part.end - 1)
}

/// Several parts, as a body of type `multipart/byteranges`: RFC 9110, 14.6.
fn several(
    request: &Request,
    shared: &Shared,
    file: &Served,
    parts: &[Range<u64>],
) -> Result<Reply> {
    let reactor = request.reactor();
    let boundary = format!("{:016x}{:016x}", reactor.random(), reactor.random());
    let mut pieces = Pieces::new(reactor, file.file.clone());
    for part in parts {
        let range = content_range(part, file.length);
        let head = format!(
            "\r\n--{boundary}\r\nContent-Type: {}\r\nContent-Range: {range}\r\n\r\n",
            file.kind
        );
        pieces.add(Piece::Text(head));
        pieces.add(Piece::Part(part.clone()));
    }
    pieces.add(Piece::Text(format!("\r\n--{boundary}--\r\n")));
    let length = pieces.length();
    let response = Response::from(Outgoing::Reader(Box::pin(pieces), Some(length)))
        .with_status(Status::PARTIAL_CONTENT)
        .header("Content-Type", format!("multipart/byteranges; boundary={boundary}"))?;
    Ok(Reply::Answer(described(response, shared, file)?))
}
