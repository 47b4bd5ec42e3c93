//! The echo in async functions. While a connection is idle it owns no buffer: reading lends one
//! for as long as it holds bytes.

use futures_util::io::copy_buf;
use futures_util::{AsyncBufReadExt, AsyncWriteExt};
use ropewalk::{Result, Stream};

pub(crate) async fn echo(stream: Stream) -> Result {
    let (reader, mut writer) = stream.split();
    copy_buf(reader, &mut writer).await?;
    Ok(())
}

pub(crate) async fn echo_lines(mut stream: Stream) -> Result {
    let mut line = Vec::new();
    while stream.read_until(b'\n', &mut line).await? > 0 {
        stream.write_all(&line).await?;
        line.clear();
    }
    Ok(())
}
