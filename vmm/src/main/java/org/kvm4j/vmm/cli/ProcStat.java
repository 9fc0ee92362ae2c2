package org.kvm4j.vmm.cli;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/** What Linux tells of a process or thread in its file stat: proc_pid_stat(5). */
final class ProcStat {
  private ProcStat() {}

  /**
   * The fields from the third on, which come after the name in parentheses: that may have blanks,
   * and parentheses of its own.
   *
   * @param of the directory of the process or thread below /proc
   */
  static String[] fields(Path of) throws IOException {
    String stat = Files.readString(of.resolve("stat"), StandardCharsets.ISO_8859_1);
    return stat.substring(stat.lastIndexOf(')') + 2).split(" ", -1);
  }
}
