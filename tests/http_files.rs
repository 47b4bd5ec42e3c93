//! Files over HTTP: what of a folder is served, to whom, and how.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and its helpers do too")]

#[path = "kit/http.rs"]
mod http;
#[path = "kit/paths.rs"]
mod paths;

use futures_util::{AsyncReadExt, AsyncWriteExt};
use http::Server;
use ropewalk::http::{Files, Request, Site, leaf};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// More than one slice that the system moves, and than one piece with the head.
const LARGE: usize = 3_000_000;

/// A folder of this test's own.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        let folder = Folder(paths::path("folder"));
        std::fs::create_dir_all(folder.0.join("root/deep/empty")).unwrap();
        folder.write("secret", b"secret");
        folder.write("root/hello.txt", b"0123456789");
        folder.write("root/empty.txt", b"");
        folder.write("root/.hidden", b"hidden");
        folder.write("root/deep/index.html", b"<h1>deep</h1>");
        folder.write("root/a b&c.bin", b"odd");
        folder.write("root/large.bin", &large());
        folder
    }

    fn write(&self, path: &str, bytes: &[u8]) {
        std::fs::write(self.0.join(path), bytes).unwrap();
        self.age(path, 1_000_000_000);
    }

    fn age(&self, path: &str, seconds: u64) {
        let file = std::fs::File::options().write(true).open(self.0.join(path)).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
    }

    fn files(&self) -> Files {
        Files::new(self.0.join("root")).unwrap()
    }
}

fn large() -> Vec<u8> {
    (0..LARGE as u32).map(|n| (n ^ n >> 8 ^ n >> 16) as u8).collect()
}

#[test]
fn a_file_comes_with_its_type_its_length_and_what_tells_its_version() {
    let folder = Folder::new();
    let server = Server::of(Site::new(folder.files()));
    for (path, kind, expected) in [
        ("/hello.txt", "text/plain; charset=utf-8", b"0123456789".to_vec()),
        ("/empty.txt", "text/plain; charset=utf-8", vec![]),
        ("/a%20b%26c.bin", "application/octet-stream", b"odd".to_vec()),
        ("/large.bin", "application/octet-stream", large()),
        ("/deep/", "text/html; charset=utf-8", b"<h1>deep</h1>".to_vec()),
    ] {
        let answer = server.get(path);
        assert_eq!(answer.status(), 200, "{path}");
        assert_eq!(answer.field("content-type"), Some(kind), "{path}");
        assert_eq!(answer.field("content-length"), Some(&*expected.len().to_string()));
        assert_eq!(answer.field("last-modified"), Some("Sun, 09 Sep 2001 01:46:40 GMT"));
        assert!(answer.field("etag").unwrap().starts_with('"'), "{}", answer.head);
        assert!(answer.body == expected, "{path}");

        let head = server.ask("HEAD", path, &[]);
        let without_date = |head: &str| {
            let lines = head.lines().filter(|line| !line.starts_with("date"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(without_date(&head.head), without_date(&answer.head), "{path}");
        assert!(head.body.is_empty());
    }
}

#[test]
fn nothing_outside_of_the_folder_is_served_however_it_is_asked_for() {
    let folder = Folder::new();
    symlink("../secret", folder.0.join("root/relative")).unwrap();
    symlink(folder.0.join("secret"), folder.0.join("root/absolute")).unwrap();
    symlink("..", folder.0.join("root/up")).unwrap();
    symlink("deep", folder.0.join("root/inside")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, folder.0.join("root/pipe"), 0o600.into()).unwrap();
    let server = Server::of(Site::new(folder.files().listing()));
    let nothing = server.get("/nothing");
    assert_eq!((nothing.status(), nothing.text()), (404, "Not Found\n"));
    let mut asked = vec![
        "/relative",
        "/absolute",
        "/up/secret",
        "/up/root/hello.txt",
        "/pipe",
        "/.hidden",
        "/hello.txt/",
        "/hello.txt/x",
        "/%00",
        "/hello.txt%00",
        "/%2e%2e/secret",
        "/..%2fsecret",
        "/%2e%2e%2fsecret",
        "/deep/..%5csecret",
        "/%ff",
        "/%zz",
        "/.",
        "/..",
        "/./hello.txt",
        "/deep/../hello.txt",
        "/...",
        "/%2f",
        "/etc%2fpasswd",
        "//etc/passwd/x",
        "/\\..\\secret",
    ]
    .into_iter()
    .map(str::to_owned)
    .collect::<Vec<_>>();
    let ups = ["..", "%2e%2e", ".%2e", "%2e.", "..%2f..", "%252e%252e", "..;", "..%00"];
    for up in ups {
        for depth in 1..=20 {
            asked.push(format!("/{}{}", format!("{up}/").repeat(depth), "secret"));
        }
    }
    asked.push(format!("/{}", "x".repeat(5000)));
    asked.push(format!("/{}", "x/".repeat(2500)));
    assert!(asked.len() > 180);
    for target in asked {
        let answer = server.get(&target);
        assert!(!answer.text().contains("secret"), "{target}");
        assert_eq!((answer.status(), answer.text()), (404, "Not Found\n"), "{target}");
    }
    assert_eq!(server.get("/inside/").text(), "<h1>deep</h1>");
}

#[test]
fn a_folder_leads_to_its_slash_its_index_or_its_listing() {
    let folder = Folder::new();
    let server = Server::of(Site::new(folder.files()));
    let answer = server.get("/deep?a=b");
    assert_eq!((answer.status(), answer.field("location")), (301, Some("/deep/?a=b")));
    assert_eq!(server.get("//deep").field("location"), None, "another host would be named");
    assert_eq!(server.get("/deep/empty/").status(), 404);

    let server = Server::of(Site::new(folder.files().listing()));
    let page = server.get("/");
    assert_eq!(page.field("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(page.field("x-content-type-options"), Some("nosniff"));
    let text = page.text();
    assert!(text.find("./deep/").unwrap() < text.find("./a%20b%26c.bin").unwrap(), "{text}");
    assert!(text.contains(">a b&amp;c.bin</a>") && !text.contains("hidden"), "{text}");
    assert_eq!(server.get("/deep/empty/").status(), 200);

    let server = Server::of(Site::new(folder.files().index(["hello.txt"]).dotfiles()));
    assert_eq!(server.get("/").text(), "0123456789");
    assert_eq!(server.get("/.hidden").text(), "hidden");
}

#[test]
fn only_get_and_head_are_answered_and_what_is_not_there_by_whom_one_likes() {
    let folder = Folder::new();
    let site = folder.files().not_found(leaf(|request: &Request| {
        Ok((ropewalk::http::Status::NOT_FOUND, format!("no {}\n", request.path())))
    }));
    let server = Server::of(Site::new(site));
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let answer = server.ask(method, "/hello.txt", &[("Content-Length", "0")]);
        assert_eq!((answer.status(), answer.field("allow")), (405, Some("GET, HEAD")), "{method}");
    }
    assert_eq!(server.get("/x").text(), "no /x\n");
}

#[test]
fn a_peer_that_has_this_version_is_told_so() {
    let folder = Folder::new();
    let server = Server::of(Site::new(folder.files().cache_control("max-age=60").unwrap()));
    let first = server.get("/hello.txt");
    let (tag, date) = (first.field("etag").unwrap(), first.field("last-modified").unwrap());
    for (name, value, expected) in [
        ("If-None-Match", tag, 304),
        ("If-None-Match", "\"other\"", 200),
        ("If-Modified-Since", date, 304),
        ("If-Modified-Since", "Sun, 09 Sep 2001 01:46:39 GMT", 200),
        ("If-Match", tag, 200),
        ("If-Match", "\"other\"", 412),
        ("If-Unmodified-Since", "Sun, 09 Sep 2001 01:46:39 GMT", 412),
    ] {
        let answer = server.ask("GET", "/hello.txt", &[(name, value)]);
        assert_eq!(answer.status(), expected, "{name}: {value}");
        if expected == 304 {
            assert_eq!(answer.field("etag"), Some(tag));
            assert_eq!(answer.field("cache-control"), Some("max-age=60"));
            assert!(answer.body.is_empty() && answer.field("content-length").is_none());
        }
    }
    // One that may change again within the same time is told weakly.
    std::fs::write(folder.0.join("root/new.txt"), "new").unwrap();
    assert!(server.get("/new.txt").field("etag").unwrap().starts_with("W/\""));
}

#[test]
fn parts_are_sent_alone_or_several_in_one_body() {
    let folder = Folder::new();
    let server = Server::of(Site::new(folder.files()));
    let ask = |range: &str| server.ask("GET", "/hello.txt", &[("Range", range)]);
    for (range, expected, body) in [
        ("bytes=0-0", "bytes 0-0/10", "0"),
        ("bytes=3-", "bytes 3-9/10", "3456789"),
        ("bytes=-4", "bytes 6-9/10", "6789"),
        ("bytes=2-100", "bytes 2-9/10", "23456789"),
        ("bytes=1-2,3-4", "bytes 1-4/10", "1234"),
    ] {
        let answer = ask(range);
        assert_eq!((answer.status(), answer.field("content-range")), (206, Some(expected)));
        assert_eq!(answer.text(), body, "{range}");
    }
    let answer = ask("bytes=10-");
    assert_eq!((answer.status(), answer.field("content-range")), (416, Some("bytes */10")));
    for range in ["lines=1-2", "bytes=x", "bytes=2-1"] {
        assert_eq!((ask(range).status(), ask(range).text()), (200, "0123456789"), "{range}");
    }
    let head = server.ask("HEAD", "/hello.txt", &[("Range", "bytes=0-0")]);
    assert_eq!((head.status(), head.field("content-length")), (200, Some("10")));

    let all = large();
    let answer = server.ask("GET", "/large.bin", &[("Range", "bytes=1-2000000,2900000-2900001")]);
    let kind = answer.field("content-type").unwrap();
    let boundary = kind.strip_prefix("multipart/byteranges; boundary=").unwrap();
    let kind = "Content-Type: application/octet-stream\r\nContent-Range: bytes";
    let expected = [
        format!("\r\n--{boundary}\r\n{kind} 1-2000000/3000000\r\n\r\n").as_bytes(),
        &all[1..=2_000_000],
        format!("\r\n--{boundary}\r\n{kind} 2900000-2900001/3000000\r\n\r\n").as_bytes(),
        &all[2_900_000..=2_900_001],
        format!("\r\n--{boundary}--\r\n").as_bytes(),
    ]
    .concat();
    assert_eq!(
        (answer.status(), answer.field("content-length").unwrap()),
        (206, &*expected.len().to_string())
    );
    assert!(answer.body == expected);
}

#[test]
fn a_part_is_sent_only_of_the_version_that_if_range_names() {
    let folder = Folder::new();
    let server = Server::of(Site::new(folder.files()));
    let first = server.get("/large.bin");
    let (tag, date) = (first.field("etag").unwrap(), first.field("last-modified").unwrap());
    let weak = format!("W/{tag}");
    for (value, expected) in [(tag, 206), (date, 206), ("\"other\"", 200), (&weak, 200)] {
        let fields = [("Range", "bytes=5-2000004"), ("If-Range", value)];
        let answer = server.ask("GET", "/large.bin", &fields);
        assert_eq!(answer.status(), expected, "{value}");
        let part = if expected == 206 { &large()[5..2_000_005] } else { &large()[..] };
        assert!(answer.body == part);
    }
}

#[test]
fn a_coding_that_lies_beside_a_text_goes_to_those_who_take_it() {
    let folder = Folder::new();
    folder.write("root/page.html", "long ".repeat(1000).as_bytes());
    folder.write("root/page.html.gz", b"as gzip");
    folder.write("root/page.html.br", b"as brotli");
    let server = Server::of(Site::new(folder.files()));
    let ask = |accepted: &str| server.ask("GET", "/page.html", &[("Accept-Encoding", accepted)]);
    let plain = server.get("/page.html");
    assert_eq!((plain.body.len(), plain.field("vary")), (5000, Some("Accept-Encoding")));
    for (accepted, coding, body) in [
        ("gzip", Some("gzip"), "as gzip"),
        ("gzip, br", Some("br"), "as brotli"),
        ("zstd;q=1, gzip;q=0.5", None, plain.text()),
        ("gzip;q=0", None, plain.text()),
    ] {
        let answer = ask(accepted);
        assert_eq!((answer.field("content-encoding"), answer.text()), (coding, body), "{accepted}");
        assert_eq!(answer.field("content-type"), Some("text/html; charset=utf-8"));
        assert_eq!(answer.field("etag") == plain.field("etag"), coding.is_none());
    }
    // Made of an older text.
    folder.age("root/page.html.br", 999_999_999);
    assert_eq!(ask("br").field("content-encoding"), None);
    assert_eq!(server.ask("GET", "/hello.txt", &[("Accept-Encoding", "gzip")]).field("vary"), None);
}

#[test]
fn what_is_kept_is_looked_at_again_after_its_time() {
    let folder = Folder::new();
    let kept = folder.files().keep_open(2, Duration::from_secs(1000));
    let server = Server::of(Site::new(kept));
    assert_eq!(server.get("/hello.txt").text(), "0123456789");
    folder.write("root/hello.txt", b"changed");
    assert_eq!(server.get("/hello.txt").text(), "0123456789");
    // Others push it out.
    for path in ["/empty.txt", "/a%20b%26c.bin", "/large.bin", "/large.bin"] {
        assert_eq!(server.get(path).status(), 200);
    }
    assert!(server.get("/large.bin").body == large());
    assert_eq!(server.get("/hello.txt").text(), "changed");

    let server = Server::of(Site::new(folder.files().keep_open(2, Duration::ZERO)));
    assert_eq!(server.get("/hello.txt").text(), "changed");
    folder.write("root/hello.txt", b"again");
    assert_eq!(server.get("/hello.txt").text(), "again");
}

#[test]
fn a_folder_that_is_none_is_told_with_its_path() {
    let error = Files::new("/no/such/folder").unwrap_err().to_string();
    assert!(error.starts_with("the folder /no/such/folder: No such file"), "{error}");
    assert!(Files::new("Cargo.toml").is_err());
}

#[test]
fn what_may_not_be_read_is_as_if_it_were_not_there() {
    let folder = Folder::new();
    let path = folder.0.join("root/hello.txt");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
    if std::fs::File::open(&path).is_ok() {
        println!("skipped: this user may read everything");
        return;
    }
    let server = Server::of(Site::new(folder.files()));
    assert_eq!(server.get("/hello.txt").text(), server.get("/nothing").text());
}

#[cfg(feature = "simulation")]
#[test]
fn files_are_served_in_a_simulation_too() {
    let folder = Folder::new();
    let simulation = ropewalk::simulation::Simulation::new(1);
    let server = simulation.host("server").reactor();
    server.listen("0.0.0.0:80", Site::new(folder.files())).unwrap();
    let client = simulation.host("client").reactor();
    for (path, length) in [("hello.txt", 10), ("large.bin", LARGE)] {
        let opening = client.open("server:80");
        let request = format!("GET /{path} HTTP/1.0\r\n\r\n");
        let got = simulation.run_until(async move {
            let mut stream = opening.await?;
            stream.write_all(request.as_bytes()).await?;
            let mut got = Vec::new();
            stream.read_to_end(&mut got).await?;
            Ok(got)
        });
        let got = got.unwrap();
        let end = got.windows(4).position(|it| it == b"\r\n\r\n").unwrap() + 4;
        assert_eq!(got.len() - end, length);
    }
}
