//! Which resource answers: routes, trees, hosts, and pages for errors.
#![cfg(all(feature = "http", feature = "simulation"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and its helpers do too")]

use futures_util::{AsyncReadExt, AsyncWriteExt};
use ropewalk::http::{
    Error, ErrorPages, Redirect, Request, Resource, Response, RouteError, Routes, Site, Status,
    Tree, VirtualHosts, leaf,
};
use ropewalk::simulation::Simulation;

/// The status of the answer, what `Allow` or `Location` says, and the body.
fn ask(root: impl Resource + 'static, asked: &[(&str, &str)]) -> Vec<String> {
    let simulation = Simulation::new(1);
    simulation.host("server").reactor().listen("0.0.0.0:80", Site::new(root)).unwrap();
    let client = simulation.host("client").reactor();
    let mut answers = Vec::new();
    for (line, host) in asked {
        let opening = client.open("server:80");
        let sent = format!("{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let got = simulation.run_until(async move {
            let mut stream = opening.await?;
            stream.write_all(sent.as_bytes()).await?;
            let mut got = String::new();
            stream.read_to_string(&mut got).await?;
            Ok(got)
        });
        let got = got.unwrap();
        let (head, body) = got.split_once("\r\n\r\n").unwrap();
        let mut told = head[9..12].to_owned();
        for line in head.lines().filter(|it| it.starts_with("Allow") || it.starts_with("Location"))
        {
            told += &format!(" [{line}]");
        }
        answers.push(format!("{told} {}", body.trim_end()));
    }
    answers
}

fn paths(root: impl Resource + 'static, lines: &[&str]) -> Vec<String> {
    let asked: Vec<_> = lines.iter().map(|line| (*line, "a")).collect();
    ask(root, &asked)
}

fn routes() -> Result<Routes, RouteError> {
    let told = |name: &'static str| {
        move |request: &Request| {
            let id = request.param("id").unwrap_or_default();
            let rest = request.param("rest").unwrap_or_default();
            Ok(format!("{name} id={id} rest={rest}"))
        }
    };
    let mut routes = Routes::new();
    routes.get("/", told("root"))?.get("/notes", told("notes"))?;
    routes.post("/notes", told("post"))?.get("/notes/new", told("new"))?;
    routes.get("/notes/{id}", told("note"))?.delete("/notes/{id}", told("delete"))?;
    routes.get("/notes/{id}/edit", told("edit"))?.get("/files/{*rest}", told("file"))?;
    routes.any("/any", told("any"))?;
    let tree = Tree::new();
    tree.put("leaf", leaf(|request: &Request| Ok(format!("leaf rest={}", request.rest()))));
    routes.mount("/old/{id}", tree)?;
    Ok(routes)
}

#[test]
fn a_text_goes_before_a_name_and_a_name_before_a_rest() {
    let asked = [
        "GET /",
        "GET /notes",
        "POST /notes",
        "GET /notes/new",
        "GET /notes/7",
        "GET /notes/a%2Fb",
        "GET /notes/new/edit",
        "GET /notes/",
        "GET /files/a/b%20c",
        "GET /files/",
        "PURGE /any",
        "GET /old/x/leaf/a/b",
        "GET /old/x/none",
        "GET /none",
        "GET /notes/%zz",
    ];
    assert_eq!(
        paths(routes().unwrap(), &asked),
        [
            "200 root id= rest=",
            "200 notes id= rest=",
            "200 post id= rest=",
            "200 new id= rest=",
            "200 note id=7 rest=",
            "200 note id=a/b rest=",
            "200 edit id=new rest=",
            "404 Not Found",
            "200 file id= rest=a/b%20c",
            "200 file id= rest=",
            "200 any id= rest=",
            "200 leaf rest=a/b",
            "404 Not Found",
            "404 Not Found",
            "400 an escape that is none, or makes no UTF-8",
        ]
    );
}

#[test]
fn a_method_that_a_path_has_not_is_told_those_that_it_has() {
    let asked = [
        "HEAD /notes/7",
        "PUT /notes/7",
        "OPTIONS /notes/7",
        "PURGE /notes/7",
        "OPTIONS *",
        "CONNECT a:80",
        "PUT /none",
    ];
    assert_eq!(
        paths(routes().unwrap(), &asked),
        [
            "200 ",
            "405 [Allow: DELETE, GET, HEAD, OPTIONS] Method Not Allowed",
            "204 [Allow: DELETE, GET, HEAD, OPTIONS] ",
            "501 Not Implemented",
            "204 ",
            "405 [Allow: GET, HEAD, OPTIONS] Method Not Allowed",
            "404 Not Found",
        ]
    );
    let tunnel = leaf(|_: &Request| Ok("a page is no tunnel"));
    assert_eq!(paths(tunnel, &["CONNECT a:80"]), ["501 Not Implemented"]);
}

#[test]
fn two_routes_for_the_same_requests_are_an_error_that_names_both_lines() {
    let mut routes = Routes::new();
    let answer = |_: &Request| Ok("here");
    let line = line!();
    routes.get("/a/{x}/b", answer).unwrap();
    let again = routes.get("/a/{y}/b", answer).unwrap_err().to_string();
    assert_eq!(
        again,
        format!(
            "GET /a/{{y}}/b is there already, as /a/{{x}}/b from tests/http_routes.rs:{}, \
             and again at tests/http_routes.rs:{}",
            line + 1,
            line + 2
        )
    );
    assert!(routes.post("/a/{y}/b", answer).is_ok() && routes.get("/a/{y}/c", answer).is_ok());
    for bad in ["", "a", "/{}", "/{*}", "/{a}/{a}", "/{*a}/b", "/a{b}", "/{a", "/{a}/{*a}"] {
        let error = routes.get(bad, answer).unwrap_err();
        assert!(matches!(error, RouteError::Pattern { .. }), "{bad}: {error}");
    }
}

#[test]
fn a_tree_follows_its_children_and_a_leaf_has_the_rest() {
    let root = Tree::of(leaf(|_: &Request| Ok("itself")));
    root.put("", leaf(|_: &Request| Ok("index")));
    root.put("leaf", leaf(|request: &Request| Ok(request.rest().to_owned())));
    let inner = Tree::of(leaf(|_: &Request| Ok("inner itself")));
    inner.put("a/b", leaf(|_: &Request| Ok("an escaped slash")));
    root.put("inner", inner);
    root.put("old", Redirect::new("/new?a=b").unwrap().with_status(Status::MOVED_PERMANENTLY));
    let asked = [
        "GET /",
        "GET /leaf",
        "GET /leaf/",
        "GET /leaf/x/y%2Fz?q",
        "GET /inner",
        "GET /inner/",
        "GET /inner/a%2fb",
        "GET /inner/a/b",
        "GET /old",
        "GET http://a/leaf/b",
        "GET http://a",
    ];
    assert_eq!(
        paths(root, &asked),
        [
            "200 index",
            "200 ",
            "200 ",
            "200 x/y%2Fz",
            "200 inner itself",
            "404 Not Found",
            "200 an escaped slash",
            "404 Not Found",
            "301 [Location: /new?a=b] ",
            "200 b",
            "200 index",
        ]
    );
}

#[test]
fn each_name_of_a_server_has_its_resource() {
    let hosts = VirtualHosts::new(leaf(|_: &Request| Ok("others")))
        .add("Example.com", leaf(|request: &Request| Ok(format!("example {}", request.rest()))))
        .add("[::1]", leaf(|_: &Request| Ok("six")));
    let asked = [
        ("GET /x", "example.COM:8080"),
        ("GET /", "example.org"),
        ("GET /", "[::1]:80"),
        ("GET http://example.com/y", "example.org"),
    ];
    assert_eq!(ask(hosts, &asked), ["200 example x", "200 others", "200 six", "200 example y"]);
}

#[test]
fn errors_have_the_pages_that_are_made_for_them() {
    let mut routes = Routes::new();
    routes.get("/gone", |_: &Request| Ok(Status::GONE)).unwrap();
    let fails = |_: &Request| Err::<(), _>(Error::new(Status::CONFLICT, "twice").into());
    routes.get("/fails", fails).unwrap();
    routes.get("/own", |_: &Request| Ok((Status::NOT_FOUND, "my own words"))).unwrap();
    let pages = ErrorPages::new(routes, |request, error| {
        Response::from(format!("{} at {}: {}", error.status(), request.path(), error.message()))
    });
    assert_eq!(
        paths(pages, &["GET /gone", "GET /fails", "GET /own", "GET /none", "GET /"]),
        [
            "410 410 Gone at /gone: Gone",
            "409 409 Conflict at /fails: twice",
            "404 my own words",
            "404 404 Not Found at /none: Not Found",
            "404 404 Not Found at /: Not Found",
        ]
    );
}
