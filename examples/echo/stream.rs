//! The echo in async functions. While a connection is idle it owns no buffer: `fill_buf` lends one
//! for as long as it holds bytes.

use futures_util::{AsyncBufReadExt, AsyncWriteExt};
use ropewalk::{Result, Stream};

pub(crate) async fn echo(stream: Stream) -> Result {
    let (mut reader, mut writer) = stream.split();
    loop {
        let data = reader.fill_buf().await?;
        if data.is_empty() {
            return Ok(());
        }
        writer.write_all(data).await?;
        let n = data.len();
        reader.consume_unpin(n);
    }
}

pub(crate) async fn echo_lines(mut stream: Stream) -> Result {
    let mut line = Vec::new();
    while stream.read_until(b'\n', &mut line).await? > 0 {
        stream.write_all(&line).await?;
        line.clear();
    }
    Ok(())
}
