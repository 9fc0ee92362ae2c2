package org.kvm4j.vmm.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.kvm4j.vmm.virtio.RawImage;
import org.kvm4j.vmm.virtio.Storage;

/** Errors of a disk's file while the guest runs. */
class ReportingStorageTests {

  @TempDir
  @SuppressWarnings("NullAway.Init") // set by JUnit
  private Path directory;

  private final List<String> lines = new ArrayList<>();

  @Test
  void an_error_is_told_once_and_comes_to_the_guest_each_time() throws IOException {
    Path file = Files.write(directory.resolve("disk"), new byte[4096]);
    byte[] buffer = new byte[1024];
    try (Storage storage = new ReportingStorage(RawImage.open(file, false), lines::add)) {
      storage.read(3072, buffer, 1024);
      assertEquals(List.of(), lines);
      Files.write(file, new byte[1024]); // somebody cuts it short
      assertThrows(IOException.class, () -> storage.read(512, buffer, 1024));
      assertThrows(IOException.class, () -> storage.read(3072, buffer, 1024));
      storage.read(0, buffer, 1024);
      storage.write(3072, buffer, 1024);
      storage.read(3072, buffer, 1024);
      storage.flush();
    }
    assertEquals(
        List.of(
            "disk "
                + file
                + " cannot be read: "
                + file
                + " has become shorter; the guest is told of each such error, you of this one"),
        lines);
  }

  @Test
  void a_file_that_takes_no_more_is_told_of_with_the_systems_words() throws IOException {
    Path file = Files.write(directory.resolve("disk"), new byte[4096]);
    Storage storage = new ReportingStorage(RawImage.open(file, false), lines::add);
    storage.close(); // whatever is written now fails
    assertThrows(IOException.class, () -> storage.write(0, new byte[512], 512));
    assertThrows(IOException.class, storage::flush);
    assertEquals(1, lines.size());
    assertEquals("disk " + file + " cannot be written: ", lines.get(0).split("java|;")[0]);
  }
}
