package org.kvm4j.vmm.cli;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;

/** Finds what was perhaps meant by a name that there is not. */
final class Nearest {

  private Nearest() {}

  /**
   * The names that are like a wrong one, the likest first, at most three: few letters apart, or one
   * starting with the other.
   */
  static List<String> to(String wrong, List<String> names) {
    String w = wrong.toLowerCase(Locale.ROOT);
    List<String> near = new ArrayList<>();
    for (String name : names) {
      String n = name.toLowerCase(Locale.ROOT);
      boolean prefix = w.length() >= 2 && (n.startsWith(w) || w.startsWith(n));
      if (prefix || distance(w, n) <= Math.max(1, w.length() / 3)) {
        near.add(name);
      }
    }
    near.sort(Comparator.comparingInt((String name) -> distance(w, name.toLowerCase(Locale.ROOT))));
    return near.subList(0, Math.min(3, near.size()));
  }

  /** A clause for an error message: what is near, or all names where nothing is. */
  static String hint(String wrong, List<String> names) {
    if (names.isEmpty()) {
      return "";
    }
    List<String> near = to(wrong, names);
    return near.isEmpty()
        ? "; there are: " + String.join(", ", names)
        : "; did you mean " + String.join(", ", near) + "?";
  }

  /** Levenshtein's distance, with a swap of neighbours as one step. */
  static int distance(String a, String b) {
    int[][] d = new int[a.length() + 1][b.length() + 1];
    for (int i = 0; i <= a.length(); i++) {
      d[i][0] = i;
    }
    for (int j = 0; j <= b.length(); j++) {
      d[0][j] = j;
    }
    for (int i = 1; i <= a.length(); i++) {
      for (int j = 1; j <= b.length(); j++) {
        int cost = a.charAt(i - 1) == b.charAt(j - 1) ? 0 : 1;
        d[i][j] = Math.min(Math.min(d[i - 1][j] + 1, d[i][j - 1] + 1), d[i - 1][j - 1] + cost);
        if (i > 1
            && j > 1
            && a.charAt(i - 1) == b.charAt(j - 2)
            && a.charAt(i - 2) == b.charAt(j - 1)) {
          d[i][j] = Math.min(d[i][j], d[i - 2][j - 2] + 1);
        }
      }
    }
    return d[a.length()][b.length()];
  }
}
