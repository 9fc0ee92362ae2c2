package org.kvm4j.vmm.cli;

import java.io.IOException;
import java.util.function.Consumer;
import org.kvm4j.vmm.virtio.Storage;

/**
 * A disk's storage that tells the user of its first error. The guest gets every one, as an error of
 * its disk, and goes on.
 */
final class ReportingStorage implements Storage {

  private final Storage storage;
  private final Consumer<String> report;
  private boolean reported;

  /**
   * @param storage does the work
   * @param report takes the line, once
   */
  ReportingStorage(Storage storage, Consumer<String> report) {
    this.storage = storage;
    this.report = report;
  }

  @Override
  public String name() {
    return storage.name();
  }

  @Override
  public long size() {
    return storage.size();
  }

  @Override
  public boolean readOnly() {
    return storage.readOnly();
  }

  @Override
  public void read(long position, byte[] target, int length) throws IOException {
    try {
      storage.read(position, target, length);
    } catch (IOException e) {
      throw reported("read", e);
    }
  }

  @Override
  public void write(long position, byte[] source, int length) throws IOException {
    try {
      storage.write(position, source, length);
    } catch (IOException e) {
      throw reported("written", e);
    }
  }

  @Override
  public void flush() throws IOException {
    try {
      storage.flush();
    } catch (IOException e) {
      throw reported("flushed", e);
    }
  }

  private IOException reported(String what, IOException e) {
    if (!reported) {
      reported = true;
      report.accept(
          String.format(
              "disk %s cannot be %s: %s; the guest is told of each such error, you of this one",
              name(), what, e.getMessage() == null ? e : e.getMessage()));
    }
    return e;
  }

  @Override
  public void close() throws IOException {
    storage.close();
  }
}
