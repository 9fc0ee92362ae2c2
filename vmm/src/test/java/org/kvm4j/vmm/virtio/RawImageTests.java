package org.kvm4j.vmm.virtio;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.EOFException;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RawImageTests {

  @TempDir
  @SuppressWarnings("NullAway.Init") // set by JUnit
  private Path directory;

  private Path image(int size) throws IOException {
    return Files.write(directory.resolve("disk"), new byte[size]);
  }

  private static String refusal(Path file, boolean readOnly) {
    IOException e = assertThrows(IOException.class, () -> RawImage.open(file, readOnly).close());
    assertTrue(String.valueOf(e.getMessage()).contains(file.toString()), e.getMessage());
    return String.valueOf(e.getMessage());
  }

  @Test
  void the_file_is_the_disk() throws IOException {
    Path file = image(2048);
    byte[] data = new byte[600];
    Arrays.fill(data, (byte) 7);
    try (RawImage image = RawImage.open(file, false)) {
      assertEquals(2048, image.size());
      image.write(1000, data, 600);
      byte[] read = new byte[700];
      image.read(1000, read, 600);
      assertArrayEquals(Arrays.copyOf(data, 700), read);
      // Without closing it: who kills this process now finds it in the file.
      image.flush();
      assertEquals(7, Files.readAllBytes(file)[1599]);
      assertEquals(0, Files.readAllBytes(file)[1600]);
    }
  }

  @Test
  void what_cannot_be_a_disk_is_refused() throws IOException {
    assertTrue(refusal(directory.resolve("none"), false).contains("no such file"));
    assertTrue(refusal(directory, false).contains("directory"));
    assertTrue(refusal(image(1000), false).contains("1000 bytes"));
    assertTrue(refusal(image(0), true).contains("is empty"));
    assertTrue(
        refusal(Path.of("/dev/zero"), true).contains("is neither a file nor a block device"));
  }

  @Test
  void an_image_has_one_writer_or_many_readers() throws IOException {
    Path file = image(512);
    try (RawImage writer = RawImage.open(file, false)) {
      assertTrue(refusal(file, true).contains("in use"), writer.name());
    }
    try (RawImage reader = RawImage.open(file, true)) {
      assertTrue(reader.readOnly());
      assertTrue(refusal(file, false).contains("in use"));
    }
    RawImage.open(file, false).close();
  }

  @Test
  void a_file_that_shrinks_is_an_error() throws IOException {
    Path file = image(1024);
    try (RawImage image = RawImage.open(file, true)) {
      try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
        channel.truncate(512);
      }
      assertThrows(EOFException.class, () -> image.read(0, new byte[1024], 1024));
    }
  }
}
